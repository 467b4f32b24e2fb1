import type { FastifyInstance } from 'fastify';
import type { CallOf } from '../host/calls.ts';
import type { OriginOf } from '../host/request-origin.ts';
import type { ContextFactory } from '../identity/credentials.ts';
import { registerOpenApi } from './openapi.ts';
import type { Resource } from './resource.ts';
import { registerResources } from './serve.ts';

/** Mounts the documented paths of older clients, and their OpenAPI document. */
export function registerRest(
  app: FastifyInstance,
  {
    resources,
    contextOf,
    callOf,
    originOf,
    publicUrl,
  }: {
    /** All documented paths, in the order of the OpenAPI document. */
    readonly resources: readonly Resource[];
    readonly contextOf: ContextFactory;
    readonly callOf: CallOf;
    readonly originOf: OriginOf;
    readonly publicUrl: string | null;
  },
): void {
  registerResources(app, { resources, contextOf, callOf, originOf });
  registerOpenApi(app, resources, publicUrl);
}
