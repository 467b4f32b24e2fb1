import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { pageHeaders } from '../host/page-policy.ts';

const IMMUTABLE = 'public, max-age=31536000, immutable';

interface Asset {
  readonly path: string;
  readonly type: string;
  readonly body: string;
  readonly packed: Buffer;
}

interface Page {
  readonly html: string;
  readonly assets: readonly Asset[];
}

const WELCOME = `# Welcome to Tidings. Make an account, then sign in above:
#
#   mutation { signUp(input: { username: "ann", password: "a good long one" }) { ... on User { id } ... on ValidationError { fields { path message } } } }

{
  viewer { username }
  todos(first: 10) { nodes { id title completed } }
}
`;

/** The form above the editor, which signs in by the cookie: so the password gets into neither the editor's history nor the browser's storage. */
const ACCOUNT = `<header id="account">
  <form id="sign-in" hidden>
    <label>Username <input name="username" autocomplete="username" required></label>
    <label>Password <input name="password" type="password" autocomplete="current-password" required></label>
    <button type="submit">Sign in</button>
  </form>
  <form id="sign-out" hidden>
    <span>Signed in as <strong id="username"></strong></span>
    <button type="submit">Sign out</button>
  </form>
  <output id="account-problem" role="alert"></output>
</header>
`;

/**
 * Serves GraphiQL from this process alone. The library renders one page with everything inline, nine megabytes of it; here its
 * style and script are files of their own, named after their content, so that a browser keeps them. Nothing of it is loaded before somebody
 * looks at it: it takes 45 MiB of memory.
 */
export function registerGraphiQL(
  app: FastifyInstance,
  endpoint: string,
): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> {
  const base = `${endpoint}/graphiql`;
  let made: Promise<Page> | null = null;
  const page = (): Promise<Page> => {
    made ??= import('@graphql-yoga/render-graphiql').then(({ renderGraphiQL }) =>
      splitPage(
        renderGraphiQL({
          endpoint,
          title: 'Tidings GraphiQL',
          defaultQuery: WELCOME,
          favicon: 'data:,',
          // Or a token that somebody tries there stays in the browser's storage.
          shouldPersistHeaders: false,
        }),
        base,
      ),
    );
    return made;
  };
  app.get<{ Params: { file: string } }>(`${base}/:file`, async (request, reply) => {
    const { assets } = await page();
    const asset = assets.find(({ path }) => path === `${base}/${request.params.file}`);
    if (!asset) {
      return reply.callNotFound();
    }
    reply.type(asset.type).header('cache-control', IMMUTABLE).header('vary', 'accept-encoding');
    return request.headers['accept-encoding']?.includes('gzip')
      ? reply.header('content-encoding', 'gzip').send(asset.packed)
      : reply.send(asset.body);
  });
  return async (_request, reply) => {
    const { html } = await page();
    return reply.type('text/html; charset=utf-8').headers(PAGE_HEADERS).send(html);
  };
}

/** Whether a request comes from a browser that wants a page to look at, not an answer to a query. */
export function wantsGraphiQL(request: FastifyRequest): boolean {
  const { method, headers, query } = request;
  const accept = headers.accept ?? '';
  return method === 'GET' && accept.includes('text/html') && !(query && typeof query === 'object' && 'query' in query);
}

/** The editor makes its style elements and attributes as it runs, holds its fonts in its style, and starts its workers from blobs. */
const PAGE_HEADERS = pageHeaders({
  'style-src': "'self' 'unsafe-inline'",
  'font-src': 'data:',
  'img-src': 'data:',
  'worker-src': 'blob:',
});

function splitPage(page: string, base: string): Page {
  const style = between(page, '<style>', '</style>');
  const script = between(page, '<script>', page.lastIndexOf('</script>'));
  const root = page.indexOf('<div id="root">');
  const css = asset(base, 'css', 'text/css; charset=utf-8', style.text);
  const js = asset(base, 'js', 'text/javascript; charset=utf-8', script.text);
  const html =
    page.slice(0, style.start) +
    `<link rel="stylesheet" href="${css.path}"><link rel="stylesheet" href="/pages/graphiql-account.css">` +
    page.slice(style.end, root) +
    ACCOUNT +
    page.slice(root, script.start) +
    `<script src="${js.path}"></script><script src="/pages/graphiql-account.js" type="module"></script>` +
    page.slice(script.end);
  return { html, assets: [css, js] };
}

function between(page: string, open: string, close: string | number) {
  const start = page.indexOf(open);
  const end = typeof close === 'number' ? close : page.indexOf(close, start);
  if (start < 0 || end < 0) {
    throw new Error(`The GraphiQL page has no ${open} element.`);
  }
  return { start, end: page.indexOf('>', end) + 1, text: page.slice(start + open.length, end) };
}

function asset(base: string, extension: string, type: string, body: string): Asset {
  const name = createHash('sha256').update(body).digest('hex').slice(0, 16);
  return { path: `${base}/${name}.${extension}`, type, body, packed: gzipSync(body) };
}
