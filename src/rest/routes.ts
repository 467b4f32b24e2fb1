import type { FastifyInstance } from 'fastify';
import type { ContextFactory } from '../accounts/credentials.ts';
import { JWT_RESOURCES } from '../accounts/jwt-rest.ts';
import { USER_RESOURCES } from '../accounts/users-rest.ts';
import { CHAT_RESOURCES } from '../chat/rest.ts';
import type { Config } from '../config.ts';
import type { CallOf } from '../host/calls.ts';
import type { OriginOf } from '../host/request-origin.ts';
import { NOTE_RESOURCES } from '../notes/rest.ts';
import { postResources } from '../posts/rest.ts';
import { TODO_RESOURCES } from '../todos/rest.ts';
import { registerOpenApi } from './openapi.ts';
import type { Resource } from './resource.ts';
import { registerResources } from './serve.ts';

/** Every documented path, in the order in which OpenAPI shows them. */
export function restResources(config: Config['rest']): readonly Resource[] {
  return [
    ...JWT_RESOURCES,
    ...USER_RESOURCES,
    ...TODO_RESOURCES,
    ...postResources(config),
    ...CHAT_RESOURCES,
    ...NOTE_RESOURCES,
  ];
}

/** Mounts the paths that older clients call. */
export function registerRest(
  app: FastifyInstance,
  {
    config,
    contextOf,
    callOf,
    originOf,
    publicUrl,
  }: {
    readonly config: Config['rest'];
    readonly contextOf: ContextFactory;
    readonly callOf: CallOf;
    readonly originOf: OriginOf;
    readonly publicUrl: string | null;
  },
): void {
  const resources = restResources(config);
  registerResources(app, { resources, contextOf, callOf, originOf });
  registerOpenApi(app, resources, publicUrl);
}
