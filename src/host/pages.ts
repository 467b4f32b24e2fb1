import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { pageHeaders } from './page-policy.ts';

const FOLDER = fileURLToPath(new URL('../../public', import.meta.url));
/** The file of the operations that the pages name. */
export const OPERATIONS_OF_PAGES = join(FOLDER, 'operations.json');
/** The pages that links in mails lead to, by their paths. */
const PAGES = { '/reset-password': 'reset-password.html', '/verify-email': 'verify-email.html' };

/** Serves the pages for which no front end is needed, and their files under `/pages/`. */
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
