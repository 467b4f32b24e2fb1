// What has happened in a run, as its clients saw it: what was acknowledged, who was a member when, which faults there were, and all that was wrong at once.
import { ERROR_CATALOGUE } from '../../dist/errors.js';

/** Codes of GraphQL itself and of Apollo Server, which the documentation names beside the catalogue. */
const GRAPHQL_CODES = ['GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED'];
const CODES = new Set([...Object.keys(ERROR_CATALOGUE), ...GRAPHQL_CODES]);
/** What a server may answer at any time, and the client then tries again. */
const REFUSALS = new Set(['OVERLOADED', 'RATE_LIMITED']);
/** The faults that explain a connection which ends, or a code. A node that is stopped in a transaction loses it after five seconds. */
const EXCUSES = {
  network: new Set(['killed', 'stopped', 'clients dropped', 'clients stalled']),
  INTERNAL: new Set(['database dropped', 'database stalled', 'database crash', 'disk full', 'stopped']),
};
/** How long a fault may be felt after everything is ready again. */
const AFTERMATH_MS = 5000;
const KEPT = 200;
const PRIVATE_MARK = /\b([TN])u(\d+)\.\d+/g;
const MESSAGE_MARK = /\bMc(\d+)\.(\d+)/g;

export const privateMark = (type, user, number) => `${type}u${user}.${number}`;
export const messageMark = (chat, number) => `Mc${chat}.${number}`;

export class Journal {
  findings = new Map();
  counts = new Map();
  /** `{name, from, to}` of each fault; `to` is when all was ready again. */
  faults = [];
  /** Failures that a fault has to excuse: `{what, code, since, until}`. */
  failures = [];
  /** Acknowledged writes: `{model, action, title}` with a title that no other write has. */
  acknowledged = [];
  /** How often each value of `completed` was acknowledged for a todo, from one value to the other. */
  toggles = new Map();
  /** Uses of ended sessions that were accepted: `{what, since, until}`. */
  #accepted = [];
  #sentAt = new Map();
  #absences = new Map();

  count(what, by = 1) {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  /** Keeps that something is wrong, under one of the oracles. */
  find(oracle, what) {
    const found = this.findings.get(oracle) ?? [];
    found.push(what);
    found.splice(KEPT);
    this.findings.set(oracle, found);
  }

  acknowledge(model, action, title) {
    this.count('acknowledged writes');
    this.acknowledged.push({ model, action, title });
  }

  toggle(id, completed) {
    this.count('acknowledged writes');
    const counts = this.toggles.get(id) ?? { true: 0, false: 0 };
    counts[completed] += 1;
    this.toggles.set(id, counts);
  }

  /** Notes when a message was first sent. */
  sends(mark) {
    if (!this.#sentAt.has(mark)) {
      this.#sentAt.set(mark, performance.now());
    }
  }

  #absencesOf(user, chat) {
    const key = `${user} ${chat}`;
    if (!this.#absences.has(key)) {
      this.#absences.set(key, []);
    }
    return this.#absences.get(key);
  }

  /** The user's removal from the chat was acknowledged, or they have never been a member. */
  removed(user, chat, from = performance.now()) {
    this.#absencesOf(user, chat).push({ from, to: Number.POSITIVE_INFINITY });
  }

  /** The user is about to be added again. */
  adds(user, chat) {
    const last = this.#absencesOf(user, chat).at(-1);
    if (last) {
      last.to = performance.now();
    }
  }

  /**
   * Checks a text that a user has received for what they may not see. `since` is when they asked for it; null for an event, which may show all that was said
   * before the removal.
   */
  check(user, text, since = null) {
    const now = performance.now();
    for (const [mark, , owner] of text.matchAll(PRIVATE_MARK)) {
      this.count('private rows checked');
      if (Number(owner) !== user) {
        this.find('unauthorised', `User ${user} received ${mark} of user ${owner}.`);
      }
    }
    for (const [mark, chat] of text.matchAll(MESSAGE_MARK)) {
      this.count('messages checked');
      const from = since ?? this.#sentAt.get(mark) ?? Number.NEGATIVE_INFINITY;
      const absence = this.#absencesOf(user, chat).find((candidate) => candidate.from <= from && now < candidate.to);
      if (absence) {
        const how = since === null ? 'by an event' : 'by a query';
        this.find('unauthorised', `User ${user}, who was removed from chat ${chat}, received ${mark} ${how}.`);
      }
    }
  }

  /** Notes a failure, which is wrong unless its code is documented and a fault explains it. */
  fail(what, code, since) {
    this.count(`${code}`);
    if (REFUSALS.has(code)) {
      return;
    }
    if (code !== 'network' && !CODES.has(code)) {
      this.find('errors', `${what}: the code ${code} is not documented`);
      return;
    }
    this.failures.push({ what, code, since, until: performance.now() });
  }

  /** Notes that an ended session was accepted, which is wrong unless a node could not read the database since the end. */
  accepted(what, since) {
    this.#accepted.push({ what, since, until: performance.now() });
  }

  /** Begins a fault; the function that is returned ends it. */
  beginFault(name) {
    const fault = { name, from: performance.now(), to: Number.POSITIVE_INFINITY };
    this.faults.push(fault);
    return () => {
      fault.to = performance.now();
    };
  }

  /** The failures that a fault may have caused, from its beginning until some seconds after its end. */
  failuresOf({ from, to }) {
    return this.failures.filter(({ since, until }) => since <= to + AFTERMATH_MS && until >= from);
  }

  /** Judges the failures by the faults, once all are over. */
  judgeFailures() {
    for (const { what, since, until } of this.#accepted) {
      const explains = ({ name, from, to }) =>
        EXCUSES.INTERNAL.has(name) && since <= to + AFTERMATH_MS && until >= from;
      if (!this.faults.some(explains)) {
        this.find('unauthorised', what);
      }
    }
    const excused = new Set(
      this.faults.flatMap((fault) => this.failuresOf(fault).filter(({ code }) => EXCUSES[code]?.has(fault.name))),
    );
    for (const failure of this.failures.filter((candidate) => !excused.has(candidate))) {
      const { what, code } = failure;
      const beside = this.faults.filter((fault) => this.failuresOf(fault).includes(failure)).map(({ name }) => name);
      this.find('errors', `${what}: ${code}, during ${beside.join(', ') || 'no fault'}`);
    }
  }
}
