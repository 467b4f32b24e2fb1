import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { BODY_TYPES } from './body.ts';
import { registerDocsPage } from './docs-page.ts';
import { JSON_TYPE } from './negotiation.ts';
import { allowOf, type Method, type Operation, type Resource } from './resource.ts';

/** Serves the OpenAPI document at `/openapi.json`, and as a page at `/docs`. */
export function registerOpenApi(app: FastifyInstance, resources: readonly Resource[], publicUrl: string | null): void {
  const document = openApiDocument(resources, publicUrl);
  app.get('/openapi.json', () => document);
  registerDocsPage(app, document);
}

/** Returns the OpenAPI 3.1 document of the resources; the schemas of bodies are those that validate them. */
export function openApiDocument(resources: readonly Resource[], publicUrl: string | null = null) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Tidings REST API',
      version: '1',
      description:
        'The paths that older clients call. Every path answers with and without a slash at its end. New clients use GraphQL at `/graphql`. Pages that are signed in by a cookie write with `Content-Type: application/json` or a header `X-Requested-With`.',
    },
    ...(publicUrl !== null && { servers: [{ url: publicUrl }] }),
    tags: [...new Set(resources.map(({ tag }) => tag))].map((name) => ({ name })),
    paths: Object.fromEntries(resources.map((resource) => [templateOf(resource.path), pathItem(resource)])),
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

/** Returns the path with its parameters as OpenAPI writes them. */
function templateOf(path: string): string {
  return path.replace(/:(\w+)/g, '{$1}');
}

/** Describes a resource once: the other paths at which it answers are in its description and in `x-aliases`. */
function pathItem(resource: Resource) {
  const aliases = (resource.aliases ?? []).map(templateOf);
  const parameters = [...resource.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  return {
    summary: resource.name,
    description: `${resource.description} \`Allow: ${allowOf(resource)}\``,
    ...(aliases.length > 0 && { 'x-aliases': aliases }),
    ...(parameters.length > 0 && { parameters }),
    ...Object.fromEntries(
      Object.entries(resource.methods).map(([method, operation]) => [
        method.toLowerCase(),
        describe(resource, aliases, method as Method, operation),
      ]),
    ),
  };
}

function describe(
  { tag, access, dialect }: Resource,
  aliases: readonly string[],
  method: Method,
  { summary, body, query, answers }: Operation,
) {
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
    // Swagger UI shows no description of a path.
    ...(aliases.length > 0 && { description: `Also at ${aliases.map((path) => `\`${path}\``).join(' and ')}.` }),
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
