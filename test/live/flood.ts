import Sqlite from 'better-sqlite3';
import { expect } from 'vitest';
import { privateDatabase } from '../kit/app.ts';
import { Person } from '../kit/person.ts';
import { type ServerProcess, startProcess } from '../kit/process.ts';
import { type Operation, SocketClient } from '../kit/socket.ts';

export const WATCH = 'subscription ($after: String) { todoChanged(after: $after) { cursor todo { title } } }';

const PASSWORD = 'a good long password';
/** The machine may be busy with other tests. */
const DEADLINE_MS = 15_000;

/** A server in a process of its own, which does not share this one's time and memory, and somebody else who writes. */
export interface Flooded {
  readonly url: string;
  readonly pid: number;
  /** Its only user, with the id 1. */
  readonly ann: Person;
  readonly database: Sqlite.Database;
  /** Writes todos of Ann's in one transaction. */
  readonly write: (titles: readonly string[], description?: string) => void;
  /** Stops it and gives its exit code. */
  readonly stop: () => Promise<number | null>;
}

export async function startFlooded(env: Record<string, string> = {}): Promise<Flooded> {
  const file = privateDatabase();
  const server: ServerProcess = await startProcess({ DATABASE_URL: `file:${file.path}`, ...env });
  const visitor = new Person(server.url, null, '');
  await visitor.gql(`mutation { signUp(input: { username: "ann", password: "${PASSWORD}" }) { __typename } }`);
  const database = new Sqlite(file.path);
  const insert = database.prepare('INSERT INTO "Todo" ("title", "description", "ownerId") VALUES (?, ?, 1)');
  return {
    url: server.url,
    pid: server.pid,
    ann: await visitor.signIn('ann', PASSWORD),
    database,
    write: database.transaction((titles: readonly string[], description: string = '') => {
      for (const title of titles) {
        insert.run(title, description);
      }
    }),
    stop: async () => {
      const { code } = await server.stop();
      database.close();
      file.remove();
      return code;
    },
  };
}

export const titlesOf = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `todo ${from + i}`);

/** Subscribes on a socket of its own; the subscription is live when this resolves. */
export async function follow(
  { url, ann, write }: Flooded,
  query = WATCH,
): Promise<{ client: SocketClient; events: Operation }> {
  const client = await SocketClient.open(url, ann.authorization);
  const { data } = await client.execute('{ cursor }');
  const events = client.start(query, { after: data.cursor });
  write(['live']);
  while ((await events.event()).todo.title !== 'live') {}
  return { client, events };
}

/** Reads events of todos with these titles, and no others. */
export async function expectInOrder(events: Operation, titles: readonly string[]): Promise<void> {
  for (const title of titles) {
    expect((await events.event(DEADLINE_MS)).todo.title).toBe(title);
  }
}
