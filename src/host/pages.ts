import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { pageHeaders } from './page-policy.ts';
import { varyByAccept, wantsPage } from './page-requests.ts';

/** The files of the pages. */
export const PAGES_FOLDER = fileURLToPath(new URL('../../public', import.meta.url));
/** The file with the persisted operations of the pages. */
export const OPERATIONS_OF_PAGES = join(PAGES_FOLDER, 'operations.json');
/** The files at paths of their own: the target pages of links in mails, and what browsers and crawlers ask for. */
const FILES = {
  '/reset-password': 'reset-password.html',
  '/verify-email': 'verify-email.html',
  '/favicon.ico': 'favicon.ico',
  '/favicon.svg': 'favicon.svg',
  '/robots.txt': 'robots.txt',
};
const HOME_PATH = '/';
const ALLOWED = 'GET, HEAD';

/** Serves the server's own pages, and their files under `/pages/`. */
export function registerPages(host: FastifyInstance): void {
  host.register(fastifyStatic, {
    root: PAGES_FOLDER,
    prefix: '/pages/',
    index: false,
    cacheControl: false,
    setHeaders: (reply) => {
      reply.header('cache-control', 'no-cache');
      reply.headers(pageHeaders());
    },
  });
  for (const [path, file] of Object.entries(FILES)) {
    addPage(host, path, (_request, reply) => reply.sendFile(file));
  }
  const description = describeServer();
  addPage(host, HOME_PATH, (request, reply) => {
    varyByAccept(reply);
    return wantsPage(request) ? reply.sendFile('index.html') : reply.send(description);
  });
}

/** Adds a path for GET and HEAD; 405 for other methods, before the body is read. */
function addPage(
  host: FastifyInstance,
  path: string,
  handler: (request: FastifyRequest, reply: FastifyReply) => FastifyReply,
): void {
  host.get(path, handler);
  const refuse = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> =>
    reply
      .status(405)
      .header('allow', ALLOWED)
      .send({ detail: `Method "${request.method}" not allowed.` });
  host.route({ url: path, method: ['POST', 'PUT', 'PATCH', 'DELETE'], onRequest: refuse, handler: refuse });
}

/** Returns what a program reads at `/`: the version, and where everything is. */
function describeServer() {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return {
    name: 'Tidings',
    version,
    links: { graphql: '/graphql', openapi: '/openapi.json', docs: '/docs', health: '/health', ready: '/ready' },
  };
}

/** Returns the function that sends the page for a path that does not exist. */
export function createNotFoundPage(): (reply: FastifyReply) => FastifyReply {
  const page = readFileSync(join(PAGES_FOLDER, 'not-found.html'));
  return (reply) => reply.status(404).headers(pageHeaders()).type('text/html; charset=utf-8').send(page);
}
