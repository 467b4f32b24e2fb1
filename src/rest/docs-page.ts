import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { pageHeaders } from '../host/page-policy.ts';
import { PAGES_FOLDER } from '../host/pages.ts';

const DOCS_PATH = '/docs';

const PAGE_HEADERS = pageHeaders({ 'img-src': "'self' data:" });

/** Serves Swagger UI at `/docs`, without files of other hosts. */
export function registerDocsPage(app: FastifyInstance, document: object): void {
  const file = (filename: string) => ({ filename, content: readFileSync(join(PAGES_FOLDER, filename), 'utf8') });
  app.register(swagger, { mode: 'static', specification: { document: document as never } });
  app.register(swaggerUi, {
    routePrefix: DOCS_PATH,
    theme: {
      title: 'REST API · Tidings',
      favicon: [{ ...file('favicon.svg'), rel: 'icon', type: 'image/svg+xml', sizes: 'any' }],
      css: [file('docs.css')],
      js: [file('docs.js')],
    },
    uiHooks: {
      onRequest: (_request, reply, done) => {
        reply.headers(PAGE_HEADERS);
        done();
      },
    },
    uiConfig: {
      // Without the bar that loads the documents of other hosts.
      layout: 'BaseLayout',
      // Otherwise a token stays in the local storage of the browser.
      persistAuthorization: false,
      tryItOutEnabled: true,
      validatorUrl: null,
      // Runs in the page. The header is required for writes with the session cookie.
      requestInterceptor: (request) => {
        Object.assign((request as unknown as { headers: object }).headers, { 'X-Requested-With': 'Tidings' });
        return request;
      },
    },
  });
}
