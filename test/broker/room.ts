import type { Person } from '../kit/person.ts';
import { openShell, type Shell } from './shell.ts';

/** A chat, and the ways to say something in it. */
export class Room {
  readonly uri: string;
  /** The owner and a member. */
  readonly people: readonly [Person, Person];
  /** A database shell. */
  readonly shell: Shell;

  private constructor(uri: string, people: readonly [Person, Person], shell: Shell) {
    this.uri = uri;
    this.people = people;
    this.shell = shell;
  }

  static async open(databaseUrl: string, people: readonly [Person, Person]): Promise<Room> {
    const [owner, member] = people;
    const { createChatSession } = await owner.gql(`mutation { createChatSession { uri } }`);
    const { uri } = createChatSession;
    await member.gql(`mutation ($uri: String!) { joinChat(uri: $uri) { __typename } }`, { uri });
    return new Room(uri, people, await openShell(databaseUrl));
  }

  async sayByGraphQL(text: string, person: Person = this.people[0]): Promise<void> {
    const { sendMessage } = await person.gql(
      `mutation ($uri: String!, $message: String!) { sendMessage(uri: $uri, message: $message) { __typename } }`,
      { uri: this.uri, message: text },
    );
    if (sendMessage.__typename !== 'ChatMessage') {
      throw new Error(`It was not sent: ${sendMessage.__typename}`);
    }
  }

  async sayByRest(text: string, person: Person = this.people[0]): Promise<void> {
    const response = await person.fetch(`/api/chats/${this.uri}/messages/`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ message: text }),
    });
    if (response.status !== 200) {
      throw new Error(`It was not sent: ${response.status}`);
    }
  }

  /** Past every server; all in one transaction. */
  async sayBySql(...texts: readonly string[]): Promise<void> {
    await this.shell.execute(...texts.map((text) => insertion(this.uri, text)));
  }

  /** What was said in all chats, in the order in which it was committed, what was deleted since included. */
  async committed(): Promise<string[]> {
    const changes = await this.shell.rows(
      `SELECT "after" FROM "Change" WHERE "model" = 'ChatMessage' AND "action" = 'INSERT' ORDER BY "seq"`,
    );
    return changes.map(({ after }) => JSON.parse(String(after)).message);
  }

  /** The owner of the lease for publishing, or undefined. */
  async holder(): Promise<unknown> {
    const [lease] = await this.shell.rows(`SELECT "holder" FROM "Lease" WHERE "name" = 'amqp:chat'`);
    return lease?.['holder'];
  }

  close(): Promise<void> {
    return this.shell.close();
  }
}

/** The statement that says something in the name of a chat's owner; the text must have no quotes. */
export function insertion(uri: string, text: string): string {
  return `INSERT INTO "ChatMessage" ("chatSessionId", "userId", "message") SELECT "id", "ownerId", '${text}' FROM "ChatSession" WHERE "uri" = '${uri}'`;
}
