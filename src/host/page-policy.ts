/** Sources of a page, by directive of the Content Security Policy. */
export type PolicyDirectives = Readonly<Record<string, string>>;

/** The default policy: no inline scripts, no eval, no other origins, and no embedding in frames. */
const POLICY: PolicyDirectives = {
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': "'self'",
  'connect-src': "'self'",
  'img-src': "'self'",
  'form-action': "'none'",
  'base-uri': "'none'",
  'frame-ancestors': "'none'",
};

/** Returns the additional headers of an HTML page. `directives` replace those of the default policy. */
export function pageHeaders(directives: PolicyDirectives = {}): Readonly<Record<string, string>> {
  const policy = Object.entries({ ...POLICY, ...directives }).map(([directive, sources]) => `${directive} ${sources}`);
  return { 'content-security-policy': policy.join('; '), 'referrer-policy': 'no-referrer' };
}
