import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { pageHeaders } from '../host/page-policy.ts';
import { BODY_TYPES } from './body.ts';
import { JSON_TYPE } from './negotiation.ts';
import { allowOf, type Method, type Operation, type Resource } from './resource.ts';

const DOCS_PATH = '/docs';

/** The hash is that of the inline style in the logo of Swagger UI. */
const PAGE_HEADERS = pageHeaders({
  'img-src': "'self' data:",
  'style-src': "'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='",
});

/** Serves the OpenAPI document at `/openapi.json`, and Swagger UI at `/docs`, without files of other hosts. */
export function registerOpenApi(app: FastifyInstance, resources: readonly Resource[], publicUrl: string | null): void {
  const document = openApiDocument(resources, publicUrl);
  app.get('/openapi.json', () => document);
  app.register(swagger, { mode: 'static', specification: { document: document as never } });
  app.register(swaggerUi, {
    routePrefix: DOCS_PATH,
    uiHooks: {
      onRequest: (_request, reply, done) => {
        reply.headers(PAGE_HEADERS);
        done();
      },
    },
    uiConfig: {
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

/** Returns the OpenAPI 3.1 document of the resources; the schemas of bodies are those that validate them. */
export function openApiDocument(resources: readonly Resource[], publicUrl: string | null = null) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Tidings',
      version: '1',
      description:
        'The paths that older clients call. Every path answers with and without a slash at its end. New clients use GraphQL at `/graphql`. Pages that are signed in by a cookie write with `Content-Type: application/json` or a header `X-Requested-With`.',
    },
    ...(publicUrl !== null && { servers: [{ url: publicUrl }] }),
    tags: [...new Set(resources.map(({ tag }) => tag))].map((name) => ({ name })),
    paths: Object.fromEntries(
      resources.flatMap((resource) =>
        [resource.path, ...(resource.aliases ?? [])].map((path) => [
          path.replace(/:(\w+)/g, '{$1}'),
          pathItem(resource, path),
        ]),
      ),
    ),
    components: {
      securitySchemes: {
        header: {
          type: 'apiKey',
          in: 'header',
          name: 'Authorization',
          description: 'The whole header: `JWT <access token>`, `Bearer <access token or key>` or `Token <key>`.',
        },
        bearer: { type: 'http', scheme: 'bearer', description: 'An access token or a key.' },
      },
      schemas: {
        Detail: { type: 'object', properties: { detail: { type: 'string' } }, required: ['detail'] },
        FieldErrors: {
          type: 'object',
          description: 'Sentences by field; those about the body as a whole stand under `non_field_errors`.',
          additionalProperties: { type: 'array', items: { type: 'string' } },
        },
      },
    },
  };
}

function pathItem(resource: Resource, path: string) {
  const parameters = [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  return {
    summary: resource.name,
    description: `${resource.description} \`Allow: ${allowOf(resource)}\``,
    ...(parameters.length > 0 && { parameters }),
    ...Object.fromEntries(
      Object.entries(resource.methods).map(([method, operation]) => [
        method.toLowerCase(),
        describe(resource, method as Method, operation),
      ]),
    ),
  };
}

function describe({ tag, access, dialect }: Resource, method: Method, { summary, body, query, answers }: Operation) {
  const parameters = [
    ...Object.entries(query ?? {}).map(([name, description]) => ({
      name,
      in: 'query',
      description,
      schema: { type: 'string' },
    })),
    ...(method === 'POST' ? [IDEMPOTENCY_KEY] : []),
  ];
  const types = dialect.isDjango ? BODY_TYPES : [JSON_TYPE];
  return {
    tags: [tag],
    summary,
    ...(access !== 'ignored' && {
      security: [{ header: [] }, { bearer: [] }, ...(access === 'open' ? [{}] : [])],
    }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: true,
        content: Object.fromEntries(types.map((type) => [type, { schema: schemaOf(body) }])),
      },
    }),
    responses: Object.fromEntries(
      Object.entries(answers).map(([status, description]) => [status, response(Number(status), description)]),
    ),
  };
}

const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  description:
    'Any text of 1 to 255 characters: the same key with the same request gets the first answer again, for a day. Every user has keys of their own, and without a credential every IP address.',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
};

function response(status: number, description: string) {
  if (status === 204) {
    return { description };
  }
  const schema = status < 400 ? {} : { $ref: `#/components/schemas/${status === 400 ? 'FieldErrors' : 'Detail'}` };
  return { description, content: { [JSON_TYPE]: { schema } } };
}

function schemaOf(shape: z.ZodType): object {
  const {
    $schema: _dialect,
    additionalProperties: _closed,
    ...schema
  } = z.toJSONSchema(shape, {
    io: 'output',
    unrepresentable: 'any',
  });
  return schema;
}
