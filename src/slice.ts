import type { LogRule } from './changes/logged-models.ts';
import type { MembershipRule } from './changes/memberships.ts';
import type { Config } from './config/config.ts';
import type { Services } from './context.ts';
import type { Database } from './database/client.ts';
import type { Builder } from './graphql/builder.ts';
import type { DrainConnections } from './host/draining.ts';
import type { ContextFactory } from './identity/credentials.ts';
import type { AnyLegacyModel } from './legacy-socket/model.ts';
import type { Resource } from './rest/resource.ts';
import type { SearchSource } from './search-index/source.ts';
import type { SocketTransport } from './sockets/handshake.ts';

/**
 * A domain, as the shared parts of the server use it. `slices.ts` lists all slices; the log with its triggers, the GraphQL schema, REST, OpenAPI, `/ws/subscribe/`,
 * the commands and the architecture test read that list. docs/add-a-domain.md explains how to write one.
 */
export interface Slice {
  /** Its models in `prisma/schema.prisma` by name, with the rules by which their changes are logged; null for a model without events. */
  readonly models: Readonly<Record<string, LogRule | null>>;
  /** Its kinds of groups, whose members may see the rows of the group. */
  readonly memberships?: readonly MembershipRule[];
  /** Its models that `Query.search` searches. */
  readonly search?: readonly SearchSource[];
  /** Its parts of the GraphQL schema. */
  readonly schema: readonly ((builder: Builder) => void)[];
  /** Its REST paths, in the order of the OpenAPI document. */
  readonly rest?: (config: Config['rest']) => readonly Resource[];
  /** The models that clients of `/ws/subscribe/` can subscribe to. */
  readonly legacyModels?: readonly AnyLegacyModel[];
  /** Mounts its own WebSocket transport. */
  readonly mountSockets?: (transport: SocketTransport) => DrainConnections;
  /** Starts work that is independent of requests. Returns the function that stops it. */
  readonly start?: (server: SliceServer) => Promise<() => Promise<void>>;
  /** Completes rows that an older version wrote. It is called in the background at each start, again when it fails, and stops soon after the signal. */
  readonly backfill?: (database: Database, stopping: AbortSignal) => Promise<void>;
  /** Removes expired rows. It is called every ten minutes, and stops soon after the signal. */
  readonly removeExpired?: (database: Database, config: Config, stopping: AbortSignal) => Promise<void>;
  /** Its commands for operators by name. */
  readonly commands?: Readonly<Record<string, Command>>;
}

/** The parts of a running server that a slice may use. */
export interface SliceServer {
  readonly config: Config;
  readonly services: Services;
  readonly contextOf: ContextFactory;
  /** Reports a failure in the background; the work is tried again. */
  readonly onFailure: (error: unknown) => void;
}

/** A command of the program: `node dist/main.js <name> …`. */
export interface Command {
  /** Its name and arguments, like `user <command>`. */
  readonly synopsis: string;
  readonly summary: string;
  /** Runs the command. Returns the exit code. Of an expected error, only the message is printed. */
  readonly run: (call: CommandCall) => Promise<number>;
}

/** A call of a command, and the resources that it may use. */
export interface CommandCall {
  readonly args: readonly string[];
  readonly config: Config;
  readonly terminal: Terminal;
  /** The environment variable `TIDINGS_PASSWORD`, which `createsuperuser` takes in place of its question. */
  readonly password: string | undefined;
  /** Returns a signal that is aborted at SIGINT or SIGTERM, for commands that have something to remove then. Without a call, these signals end the process. */
  readonly interruption: () => AbortSignal;
  /** Opens the database, runs the function, and closes the database. */
  readonly withServices: <Result>(use: (services: Services) => Promise<Result>) => Promise<Result>;
}

/** The standard streams of a process. */
export interface Terminal {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}
