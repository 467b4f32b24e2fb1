import { randomUUID } from 'node:crypto';
import type { Signals } from '../changes/signals.ts';
import type { ConnectedUsers } from '../context.ts';
import {
  IDS_PER_MESSAGE,
  PRESENCE_TIMES,
  type PresenceContent,
  type PresenceMessage,
  type PresenceTimes,
  parsePresenceMessage,
} from './presence-messages.ts';

/** The topic of the messages between processes. */
const TOPIC = 'presence';
/** The bounds of the users whom other processes follow here, and of those whom this process follows for queries. */
const MAX_ASKED = 100_000;
const MAX_FOLLOWED = 20_000;

/** A user whose connections to other processes are known. */
interface Followed {
  /** The other processes to which the user is connected. */
  readonly processes: Set<string>;
  readonly listeners: Set<() => void>;
  /** Until when the other processes report changes, in milliseconds of the monotonic clock. */
  knownUntil: number;
}

interface Ask {
  readonly users: readonly number[];
  /** The processes whose answers are missing. */
  readonly missing: Set<string>;
  readonly resolve: () => void;
}

/**
 * Knows which users have connections to any process of the server. Processes ask each other about users whom somebody looks at; for a while afterwards, the asked
 * process reports changes of these users only. So nothing is sent for users at whom nobody looks, and memory depends on the users who are looked at.
 */
export class PresencePeers {
  readonly #id = randomUUID().slice(0, 8);
  readonly #signals: Signals;
  readonly #connected: ConnectedUsers;
  readonly #times: PresenceTimes;
  /** When the last message of each other process arrived, and whether its answers are waited for. */
  readonly #processes = new Map<string, { lastMessageAt: number; answers: boolean }>();
  readonly #followed = new Map<number, Followed>();
  /** Until when other processes follow users here. */
  readonly #asked = new Map<number, number>();
  readonly #asks = new Map<number, Ask>();
  #count = 0;

  constructor(signals: Signals, connected: ConnectedUsers, times: PresenceTimes = PRESENCE_TIMES) {
    this.#signals = signals;
    this.#connected = connected;
    this.#times = times;
  }

  /** Begins to exchange messages with other processes. Returns the function that stops it. */
  async start(): Promise<() => void> {
    const stopListening = await this.#signals.listen(TOPIC, (text) => this.#receive(text));
    const stopObserving = this.#connected.onChange((userId, isConnected) => this.#onConnected(userId, isConnected));
    const timer = setInterval(() => this.#beat(), this.#times.heartbeat).unref();
    this.#send({ kind: 'running' });
    return () => {
      clearInterval(timer);
      stopObserving();
      stopListening();
      this.#send({ kind: 'stopping' });
    };
  }

  /** Whether a user whom this process follows is connected to any process, as far as is known. */
  isConnected(userId: number): boolean {
    return this.#connected.has(userId) || (this.#followed.get(userId)?.processes.size ?? 0) > 0;
  }

  /** Returns those of the users who are connected to any process. */
  async connectedAmong(userIds: readonly number[]): Promise<ReadonlySet<number>> {
    const now = performance.now();
    const unknown = userIds.filter(
      (id) => !this.#connected.has(id) && (this.#followed.get(id)?.knownUntil ?? 0) <= now,
    );
    // Keeps the answers until they have been read.
    const keep = (): void => undefined;
    await this.follow(unknown, keep);
    const connected = new Set(userIds.filter((id) => this.isConnected(id)));
    this.unfollow(unknown, keep);
    if (this.#followed.size > MAX_FOLLOWED) {
      this.#forgetUnused(unknown);
    }
    return connected;
  }

  /** Calls back for each change of the users until {@link unfollow}. Resolves when their present state is known. */
  async follow(userIds: readonly number[], listener: () => void): Promise<void> {
    for (const id of userIds) {
      this.#entry(id).listeners.add(listener);
    }
    await this.#ask(userIds);
  }

  unfollow(userIds: Iterable<number>, listener: () => void): void {
    for (const id of userIds) {
      this.#followed.get(id)?.listeners.delete(listener);
    }
  }

  #entry(userId: number): Followed {
    const entry = this.#followed.get(userId) ?? { processes: new Set(), listeners: new Set(), knownUntil: 0 };
    this.#followed.set(userId, entry);
    return entry;
  }

  /** Asks the other processes about users, and waits for those that answered lately. */
  async #ask(userIds: readonly number[]): Promise<void> {
    const answers: Promise<void>[] = [];
    for (let at = 0; at < userIds.length; at += IDS_PER_MESSAGE) {
      answers.push(this.#askPart(userIds.slice(at, at + IDS_PER_MESSAGE)));
    }
    await Promise.all(answers);
  }

  async #askPart(users: readonly number[]): Promise<void> {
    const knownUntil = performance.now() + this.#times.follow;
    await this.#collectAnswers(users);
    for (const id of users) {
      const entry = this.#followed.get(id);
      if (entry) {
        entry.knownUntil = knownUntil;
      }
    }
  }

  async #collectAnswers(users: readonly number[]): Promise<void> {
    if (this.#processes.size === 0) {
      return;
    }
    const missing = new Set([...this.#processes].flatMap(([id, { answers }]) => (answers ? id : [])));
    const number = this.#send({ kind: 'ask', users: [...users] });
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#asks.set(number, { users, missing, resolve });
      timer = setTimeout(resolve, missing.size === 0 ? 0 : this.#times.answer);
    });
    clearTimeout(timer);
    this.#asks.delete(number);
    for (const id of missing) {
      // It may have died: its answers are not waited for before another message of it arrives.
      const peer = this.#processes.get(id);
      if (peer) {
        peer.answers = false;
      }
    }
  }

  #receive(text: string): void {
    if (text === '') {
      // Messages may have been missed.
      this.#askAgain();
      return;
    }
    const message = parsePresenceMessage(text);
    if (!message || message.from === this.#id) {
      return;
    }
    if (message.kind === 'stopping') {
      this.#forget(message.from);
      return;
    }
    const isNew = !this.#processes.has(message.from);
    this.#processes.set(message.from, { lastMessageAt: performance.now(), answers: true });
    if (isNew) {
      this.#send({ kind: 'running' });
      this.#askAgain();
    }
    this.#apply(message);
  }

  #apply(message: PresenceMessage): void {
    if (message.kind === 'ask') {
      this.#answer(message);
    } else if (message.kind === 'change') {
      this.#setConnected(message.from, message.user, message.isConnected);
    } else if (message.kind === 'answer' && message.to === this.#id) {
      const ask = this.#asks.get(message.ask);
      const connected = new Set(message.users);
      for (const userId of ask?.users ?? []) {
        this.#setConnected(message.from, userId, connected.has(userId));
      }
      ask?.missing.delete(message.from);
      if (ask?.missing.size === 0) {
        ask.resolve();
      }
    }
  }

  #answer({ from, n, users }: Extract<PresenceMessage, { kind: 'ask' }>): void {
    const until = performance.now() + this.#times.follow;
    for (const id of users) {
      if (this.#asked.size < MAX_ASKED || this.#asked.has(id)) {
        this.#asked.set(id, until);
      }
    }
    this.#send({ kind: 'answer', to: from, ask: n, users: users.filter((id) => this.#connected.has(id)) });
  }

  #setConnected(process: string, userId: number, isConnected: boolean): void {
    const entry = this.#followed.get(userId);
    if (!entry || entry.processes.has(process) === isConnected) {
      return;
    }
    if (isConnected) {
      entry.processes.add(process);
    } else {
      entry.processes.delete(process);
    }
    this.#notify(entry);
  }

  #onConnected(userId: number, isConnected: boolean): void {
    const entry = this.#followed.get(userId);
    if (entry) {
      this.#notify(entry);
    }
    if ((this.#asked.get(userId) ?? 0) > performance.now()) {
      this.#send({ kind: 'change', user: userId, isConnected });
    }
  }

  #notify({ listeners }: Followed): void {
    for (const listener of listeners) {
      listener();
    }
  }

  #beat(): void {
    this.#send({ kind: 'running' });
    const now = performance.now();
    for (const [id, { lastMessageAt }] of this.#processes) {
      if (now - lastMessageAt > this.#times.death) {
        this.#forget(id);
      }
    }
    for (const [id, until] of this.#asked) {
      if (until <= now) {
        this.#asked.delete(id);
      }
    }
    this.#forgetUnused([...this.#followed].flatMap(([id, { knownUntil }]) => (knownUntil <= now ? id : [])));
    this.#askAgain((entry) => entry.knownUntil - now < 2 * this.#times.heartbeat);
  }

  /** Asks about the users with listeners, and forgets what is known of the others. */
  #askAgain(needsAnswer: (entry: Followed) => boolean = () => true): void {
    const due = [...this.#followed].flatMap(([id, entry]) => (needsAnswer(entry) ? id : []));
    this.#forgetUnused(due);
    void this.#ask(due.filter((id) => this.#followed.has(id)));
  }

  #forgetUnused(userIds: readonly number[]): void {
    for (const id of userIds) {
      if (this.#followed.get(id)?.listeners.size === 0) {
        this.#followed.delete(id);
      }
    }
  }

  /** Forgets a process that has stopped or died, with its connections. */
  #forget(process: string): void {
    this.#processes.delete(process);
    for (const ask of this.#asks.values()) {
      ask.missing.delete(process);
      if (ask.missing.size === 0) {
        ask.resolve();
      }
    }
    for (const [id, entry] of this.#followed) {
      if (entry.processes.has(process)) {
        this.#setConnected(process, id, false);
      }
    }
  }

  /** Sends a message, and returns its number. */
  #send(content: PresenceContent): number {
    this.#count += 1;
    this.#signals.send(TOPIC, JSON.stringify({ from: this.#id, n: this.#count, ...content }));
    return this.#count;
  }
}
