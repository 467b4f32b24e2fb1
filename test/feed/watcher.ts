import { expect } from 'vitest';
import { numberOf } from '../kit/ids.ts';
import { SocketClient } from '../kit/socket.ts';
import type { Actor, World } from './world.ts';

/** A topic of a client: how it reads a snapshot and subscribes to changes. */
export interface Topic {
  readonly name: string;
  /** The connection with the rows; null when the viewer may not see its parent. */
  readonly list: string;
  readonly subscription: string;
  readonly field: string;
  /** The columns that the state consists of. */
  readonly selection: string;
  /** The fields of an event; `action cursor id` and the row when left out. Events without an `id` are about something else. */
  readonly event?: string;
  /** Whether rows are seen by their owner, staff, and everybody when there is none. */
  readonly isOwned: boolean;
  readonly needsAccount: boolean;
}

const owned = { isOwned: true, needsAccount: false } as const;
const OWNER = 'owner { id }';

export const TOPICS: readonly Topic[] = [
  {
    ...owned,
    name: 'todos',
    list: 'todos(PAGE)',
    subscription: 'todoChanged(AFTER)',
    field: 'todo',
    selection: `id title completed ${OWNER}`,
  },
  {
    ...owned,
    name: 'todos of a list',
    list: 'todos(PAGE, filter: { listId: "1" })',
    subscription: 'todoChanged(AFTER, listId: "1")',
    field: 'todo',
    selection: `id title completed ${OWNER}`,
  },
  {
    ...owned,
    name: 'lists',
    list: 'todoLists(PAGE)',
    subscription: 'todoListChanged(AFTER)',
    field: 'todoList',
    selection: `id name ${OWNER}`,
  },
  {
    ...owned,
    name: 'notes',
    list: 'notes(PAGE)',
    subscription: 'noteChanged(AFTER)',
    field: 'note',
    selection: `id title priority ${OWNER}`,
  },
  {
    name: 'posts',
    list: 'posts(PAGE)',
    subscription: 'postChanged(AFTER)',
    field: 'post',
    selection: 'id title content',
    isOwned: false,
    needsAccount: true,
  },
  {
    name: 'chats',
    list: 'chatSessions(PAGE)',
    subscription: 'chatSessionChanged(AFTER)',
    field: 'chatSession',
    selection: 'id uri title',
    isOwned: false,
    needsAccount: true,
  },
  {
    name: 'chats of the inbox',
    list: 'chatSessions(PAGE)',
    subscription: 'inboxChanged(AFTER)',
    field: 'chatSession',
    selection: 'id uri',
    event: 'action cursor ... on InboxChatChange { id: chatSessionId chatSession { id uri } }',
    isOwned: false,
    needsAccount: true,
  },
];

const MESSAGE =
  'message editedAt deletedAt replyTo { id } mentions { username } reactions { emoji count viewerReacted users { username } }';

/** What is said in one chat. */
export function messagesOf(uri: string): Topic {
  return {
    name: `messages of ${uri}`,
    list: `chatSession(uri: "${uri}") { messages(PAGE) { nodes { id ${MESSAGE} } pageInfo { hasNextPage endCursor } } }`,
    subscription: `chatMessageChanged(AFTER, uri: "${uri}")`,
    field: 'chatMessage',
    selection: `id ${MESSAGE}`,
    isOwned: false,
    needsAccount: true,
  };
}

type Row = Record<string, unknown>;
type Page = { nodes: readonly Row[]; pageInfo: { hasNextPage: boolean; endCursor: string } };
interface Event {
  readonly action: 'CREATED' | 'UPDATED' | 'DELETED';
  readonly cursor: string;
  readonly id: string;
}

/** Reads all rows of a topic as somebody sees them now; null when they may not see the parent. */
export async function readAll(
  world: World,
  actor: Actor,
  { list, selection }: Topic,
  node: number,
): Promise<Map<string, Row> | null> {
  const rows = new Map<string, Row>();
  let after: string | null = null;
  for (;;) {
    const page: string = list.replace('PAGE', `first: 100, after: ${JSON.stringify(after)}`);
    const nested = page.includes('{ messages');
    const query: string = nested
      ? `{ it: ${page} }`
      : `{ it: ${page} { nodes { ${selection} } pageInfo { hasNextPage endCursor } } }`;
    const { it } = await world.caller(actor, node).gql(query);
    if (it === null) {
      return null;
    }
    const { nodes, pageInfo }: Page = nested ? it.messages : it;
    for (const row of nodes) {
      rows.set(String(row['id']), row);
    }
    if (!pageInfo.hasNextPage) {
      return rows;
    }
    after = pageInfo.endCursor;
  }
}

/** Where in the log a cursor lies. */
export const placeOf = (cursor: string): number => Number(/:(\d+)-/.exec(cursor)?.[1]);

/** A client that builds its state from a snapshot and events alone, and checks what it receives against the guarantees. */
export class Watcher {
  readonly actor: Actor;
  readonly topic: Topic;
  readonly #world: World;
  readonly #seen = new Set<string>();
  #state = new Map<string, Row>();
  #cursor: string | null = null;
  #client: SocketClient | null = null;
  #isOver = false;
  #mustReload = true;
  #place = 0;
  /** All violations in what it received. */
  readonly faults: string[] = [];
  events = 0;
  /** Lets an event fall under the table now and then, to see whether anybody notices. */
  ignores: (event: Event) => boolean = () => false;

  constructor(world: World, actor: Actor, topic: Topic) {
    this.#world = world;
    this.actor = actor;
    this.topic = topic;
  }

  get isConnected(): boolean {
    return this.#client !== null;
  }

  /** Connects, and goes on where it was; with a new snapshot after RESYNC_REQUIRED. */
  async connect(node: number): Promise<void> {
    if (this.#client) {
      return;
    }
    if (this.#mustReload || this.#isOver) {
      const { cursor } = await this.#world.caller(this.actor, node).gql('{ cursor }');
      const rows = await readAll(this.#world, this.actor, this.topic, node);
      if (rows === null) {
        this.#isOver = true;
        return;
      }
      this.#state = rows;
      this.#cursor = cursor;
      this.#mustReload = false;
      this.#isOver = false;
    }
    const url = this.#world.urls[node % this.#world.urls.length] ?? '';
    const client = await SocketClient.open(url, this.actor.authorization);
    this.#client = client;
    this.#place = 0;
    const { subscription, field, selection, event = `action cursor id ${field} { ${selection} }` } = this.topic;
    const after = `after: ${JSON.stringify(this.#cursor)}`;
    const operation = client.start(`subscription { it: ${subscription.replace('AFTER', after)} { ${event} } }`);
    operation.onResult = (result) => this.#take(client, result);
    operation.ended.then((errors) => this.#end(client, errors));
    client.closed.then(() => {
      if (this.#client === client) {
        this.#client = null;
      }
    });
  }

  /** Goes away without a word. */
  drop(): void {
    this.#client?.raw.terminate();
    this.#client = null;
  }

  /** What it believes to be there; null when its access has ended. */
  get state(): ReadonlyMap<string, Row> | null {
    return this.#isOver ? null : this.#state;
  }

  #end(client: SocketClient, errors: readonly { extensions?: { code?: string } }[] | null): void {
    if (this.#client !== client) {
      return;
    }
    this.drop();
    const code = errors?.[0]?.extensions?.code;
    if (code === 'RESYNC_REQUIRED') {
      this.#mustReload = true;
    } else if (code === undefined || code === 'NOT_FOUND') {
      // A stream that ends without an error means that its viewer is no longer a member.
      this.#isOver = true;
    } else {
      this.faults.push(`ended with ${JSON.stringify(errors)}`);
    }
  }

  #take(
    client: SocketClient,
    result: { data?: { it: Event & Record<string, unknown> }; errors?: readonly { extensions?: { code?: string } }[] },
  ): void {
    if (this.#client !== client) {
      return;
    }
    if (result.errors || !result.data) {
      this.#end(client, result.errors ?? null);
      return;
    }
    const event = result.data.it;
    this.events += 1;
    const place = placeOf(event.cursor);
    if (place < this.#place) {
      this.faults.push(`${event.cursor} came after ${this.#place}`);
    }
    if (place === this.#place && !this.#seen.has(event.cursor)) {
      this.faults.push(`${event.cursor} came twice under another name`);
    }
    this.#place = place;
    this.#seen.add(event.cursor);
    this.#cursor = event.cursor;
    if (event.id === undefined || this.ignores(event)) {
      return;
    }
    const row = event[this.topic.field] as Row | null;
    if (event.action === 'DELETED') {
      if (row !== null) {
        this.faults.push(`DELETED with a row: ${JSON.stringify(event)}`);
      }
      this.#state.delete(event.id);
    } else if (row === null) {
      this.faults.push(`${event.action} without a row`);
    } else {
      this.#check(row);
      this.#state.set(event.id, row);
    }
  }

  /** Nobody is shown a row that is somebody else's. */
  #check(row: Row): void {
    const owner = row['owner'] as { id: string } | null | undefined;
    if (this.topic.isOwned && !this.actor.isStaff && owner && numberOf(owner.id) !== this.actor.id) {
      this.faults.push(`was shown a row of ${owner.id}: ${JSON.stringify(row)}`);
    }
  }

  /** Holds its state against what a query gives; gives what differs, or null. */
  async difference(node: number): Promise<string | null> {
    const truth = await readAll(this.#world, this.actor, this.topic, node);
    return sorted(this.state) === sorted(truth)
      ? null
      : `${this.actor.name}, ${this.topic.name}: ${sorted(this.state)} is not ${sorted(truth)}`;
  }

  expectNoFaults(): void {
    expect(this.faults, `${this.actor.name}, ${this.topic.name}`).toEqual([]);
  }
}

function sorted(rows: ReadonlyMap<string, Row> | null): string {
  const owned = (row: Row): Row => ({ ...row });
  return rows === null
    ? 'nothing to be seen'
    : JSON.stringify(
        [...rows.values()].map(owned).sort((left, right) => (String(left['id']) < String(right['id']) ? -1 : 1)),
      );
}
