import { z } from 'zod';

/** How many ids one message contains: a message has less than 1,000 characters. */
export const IDS_PER_MESSAGE = 60;

const MAX_PROCESS_LENGTH = 40;

/** The times of the protocol, in milliseconds. */
export interface PresenceTimes {
  /** The interval of the messages by which a process shows that it runs. */
  readonly heartbeat: number;
  /** The time after the last message of a process from which on it counts as dead, with all its connections. */
  readonly death: number;
  /** How long a process reports the changes of a user after it was asked. Longer than a heartbeat, at which it is asked again. */
  readonly follow: number;
  /** How long the answers of other processes are waited for. */
  readonly answer: number;
}

export const PRESENCE_TIMES: PresenceTimes = { heartbeat: 10_000, death: 30_000, follow: 30_000, answer: 500 };

const processId = z.string().max(MAX_PROCESS_LENGTH);
const userIds = z.array(z.int()).max(IDS_PER_MESSAGE);

/** A message of one process to the others. Each has a number, since equal messages that wait to be sent are sent once. */
const message = z.object({ from: processId, n: z.int() }).and(
  z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('running') }),
    z.object({ kind: z.literal('stopping') }),
    /** Asks which of the users are connected, and to report their changes for a while. */
    z.object({ kind: z.literal('ask'), users: userIds }),
    /** The connected users among those of the ask with a number. */
    z.object({ kind: z.literal('answer'), to: processId, ask: z.int(), users: userIds }),
    z.object({ kind: z.literal('change'), user: z.int(), isConnected: z.boolean() }),
  ]),
);

export type PresenceMessage = z.infer<typeof message>;

type WithoutOrigin<Each> = Each extends unknown ? Omit<Each, 'from' | 'n'> : never;
export type PresenceContent = WithoutOrigin<PresenceMessage>;

/** Returns the message that a text contains; null for any other text. */
export function parsePresenceMessage(text: string): PresenceMessage | null {
  try {
    return message.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
