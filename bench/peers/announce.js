/** Says where a server listens, as `startServer` waits for it. */
export function announce({ port }) {
  process.stdout.write(`listens on http://127.0.0.1:${port}\n`);
}
