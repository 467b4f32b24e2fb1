/** What a page may load beyond its own files, by directive of the Content Security Policy. */
export type PageNeeds = Readonly<Record<string, string>>;

/** No inline script, no eval, nothing of another origin, and no frame around the page. */
const POLICY: PageNeeds = {
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': "'self'",
  'connect-src': "'self'",
  'form-action': "'none'",
  'base-uri': "'none'",
  'frame-ancestors': "'none'",
};

/** The headers of an HTML page, beside those of every answer. */
export function pageHeaders(needs: PageNeeds = {}): Readonly<Record<string, string>> {
  const policy = Object.entries({ ...POLICY, ...needs }).map(([directive, sources]) => `${directive} ${sources}`);
  return { 'content-security-policy': policy.join('; '), 'referrer-policy': 'no-referrer' };
}
