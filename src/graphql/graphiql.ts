import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { pageHeaders } from '../host/page-policy.ts';
import { varyByAccept } from '../host/page-requests.ts';

/** The page and its files, bundled by `npm run build`. */
const FOLDER = fileURLToPath(new URL('../../dist/graphiql', import.meta.url));

/**
 * Serves the files of GraphiQL, whose names change with their content, and returns the handler that sends its page. They are at the path
 * for which they are bundled, which is in `scripts/graphiql.js`.
 */
export function registerGraphiQL(
  app: FastifyInstance,
  endpoint: string,
): (reply: FastifyReply) => Promise<FastifyReply> {
  app.register(fastifyStatic, {
    root: FOLDER,
    prefix: `${endpoint}/graphiql/`,
    index: false,
    allowedPath: (path) => BUNDLED.test(path),
    preCompressed: true,
    immutable: true,
    maxAge: '1y',
    // The pages of the host have decorated replies already.
    decorateReply: false,
    setHeaders: (reply) => {
      // A worker has the policy of its own answer.
      reply.headers(PAGE_HEADERS);
    },
  });
  return async (reply) => {
    const page = await readFile(join(FOLDER, 'index.html'));
    varyByAccept(reply);
    return reply.type('text/html; charset=utf-8').headers(PAGE_HEADERS).send(page);
  };
}

const BUNDLED = /\.(js|css|ttf)$/;

/** The editor makes its style elements and attributes as it runs, and has fonts and images in its style. */
const PAGE_HEADERS = pageHeaders({
  'style-src': "'self' 'unsafe-inline'",
  'font-src': "'self' data:",
  'img-src': "'self' data:",
  'worker-src': "'self'",
});
