/** With these, Chromium runs as root in a container, and calls nobody by itself. */
export const BROWSER_ARGUMENTS = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-gpu',
  '--disable-component-update',
];
