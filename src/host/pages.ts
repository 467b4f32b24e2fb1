import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { pageHeaders } from './page-policy.ts';

const FOLDER = fileURLToPath(new URL('../../public', import.meta.url));
/** The file with the persisted operations of the pages. */
export const OPERATIONS_OF_PAGES = join(FOLDER, 'operations.json');
/** The target pages of links in mails, by path. */
const PAGES = { '/reset-password': 'reset-password.html', '/verify-email': 'verify-email.html' };

/** Serves the server's own pages, and their files under `/pages/`. */
export function registerPages(host: FastifyInstance): void {
  host.register(fastifyStatic, {
    root: FOLDER,
    prefix: '/pages/',
    index: false,
    cacheControl: false,
    setHeaders: (reply) => {
      reply.header('cache-control', 'no-cache');
      reply.headers(pageHeaders());
    },
  });
  for (const [path, file] of Object.entries(PAGES)) {
    host.get(path, (_request, reply) => reply.sendFile(file));
  }
}
