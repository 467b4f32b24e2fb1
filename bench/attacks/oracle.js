// Knows who may see what at each moment, and looks for the marks of others in every answer and event.
//
// Each text that the run writes holds a mark, `zq<kind><number>z`:
//   O: a todo, list or note of that user     E: the email address of that user     U: the name of that user
//   C: a message in that chat                P: a post of that user                T: that todo, whose owner changes
//   N: a row without an owner, which everybody sees but a caller whose credential is refused
// The uris of chats and access tokens count as marks, too.

/** How long after the end of a right its rows may still arrive: the bound that README.md gives for sockets whose credential has ended. */
const GRACE_MS = 1000;
const LAG_INTERVAL_MS = 50;
const LAG_WINDOW = 40;
const MARK = /zq([a-z])(\d+)z/gi;
const URI = /(?<![0-9a-f])[0-9a-f]{15}(?![0-9a-f])/g;
const ACCESS_TOKEN = /eyJ[\w-]+\.(eyJ[\w-]+)\.[\w-]+/g;

/** A caller without a credential. */
export const ANONYMOUS = { name: 'anonymous' };
/** A caller whose credential is refused: not even the rows that everybody sees are for them. */
export const REFUSED = { name: 'refused' };

export const mark = (kind, number) => `zq${kind}${number}z`;

export class Oracle {
  /** The facts that hold (`Infinity`) or that ended (when, in milliseconds of the monotonic clock). */
  #until = new Map();
  #chatOfUri = new Map();
  #userOfId = new Map();
  #lags = [];
  #timer;
  breaches = [];
  marksSeen = 0;

  constructor() {
    let expected = performance.now() + LAG_INTERVAL_MS;
    this.#timer = setInterval(() => {
      this.#lags.push(Math.max(0, performance.now() - expected));
      this.#lags.splice(0, this.#lags.length - LAG_WINDOW);
      expected = performance.now() + LAG_INTERVAL_MS;
    }, LAG_INTERVAL_MS).unref();
  }

  close() {
    clearInterval(this.#timer);
  }

  /** Says that a fact holds from now on, before the request that makes it true is sent. Returns the function that takes it back. */
  begin(fact) {
    const before = this.#until.get(fact) ?? Number.NEGATIVE_INFINITY;
    this.#until.set(fact, Number.POSITIVE_INFINITY);
    return () => this.#until.set(fact, before);
  }

  /** Says that a fact has ended, after the answer that confirms it. */
  end(fact) {
    this.#until.set(fact, performance.now());
  }

  holds(fact) {
    return this.#until.get(fact) === Number.POSITIVE_INFINITY;
  }

  /** Whether a fact held within the grace time. */
  hasEndedLately(fact) {
    return this.#held(fact, performance.now() - GRACE_MS);
  }

  addUser(user, id) {
    this.#userOfId.set(Number(id), user);
  }

  addUri(chat, uri) {
    this.#chatOfUri.set(uri, chat);
  }

  /**
   * Looks through what a viewer received. Marks that the viewer sent themselves do not count, since messages quote requests. The paths of older clients show
   * the participants of a chat with their email addresses (`showsEmails`).
   */
  check(viewer, text, { since = performance.now(), sent = '', what, showsEmails = false }) {
    // The time that this process was late to read the answer is no fault of the server.
    const from = since - GRACE_MS - Math.max(0, ...this.#lags);
    for (const { found, allowed } of this.#marksIn(viewer, text, from)) {
      this.marksSeen += 1;
      if (!allowed && !(showsEmails && /^zqe/i.test(found)) && !sent.toLowerCase().includes(found.toLowerCase())) {
        this.breach(`${nameOf(viewer)} received ${found}: ${what()}\n    ${excerpt(text, found)}`);
        return;
      }
    }
  }

  breach(text) {
    this.breaches.push(text);
  }

  *#marksIn(viewer, text, from) {
    for (const [found, kind, number] of text.matchAll(MARK)) {
      yield { found, allowed: this.#maySee(viewer, kind.toUpperCase(), Number(number), from) };
    }
    for (const [found] of text.matchAll(URI)) {
      const chat = this.#chatOfUri.get(found);
      if (chat !== undefined) {
        yield { found, allowed: this.#maySee(viewer, 'C', chat, from) };
      }
    }
    for (const [found, payload] of text.matchAll(ACCESS_TOKEN)) {
      const user = this.#userOfId.get(userIdIn(payload));
      if (user !== undefined) {
        yield { found, allowed: viewer.user === user };
      }
    }
  }

  #maySee(viewer, kind, number, from) {
    if (viewer === ANONYMOUS) {
      return kind === 'N';
    }
    if (viewer === REFUSED || viewer.until < from || !this.#held(`active ${viewer.user}`, from)) {
      return false;
    }
    switch (kind) {
      case 'O':
      case 'E':
        return viewer.user === number || this.#held(`staff ${viewer.user}`, from);
      case 'T':
        return this.#held(`owner ${viewer.user} ${number}`, from) || this.#held(`staff ${viewer.user}`, from);
      case 'C':
        return this.#held(`member ${viewer.user} ${number}`, from);
      default:
        return true;
    }
  }

  #held(fact, from) {
    return (this.#until.get(fact) ?? Number.NEGATIVE_INFINITY) >= from;
  }
}

const nameOf = ({ name, user, until }) =>
  name ??
  `user ${user}${until === Number.POSITIVE_INFINITY ? '' : ` (credential ended ${Math.round(performance.now() - until)} ms ago)`}`;

function excerpt(text, found) {
  const at = text.indexOf(found);
  return text.slice(Math.max(0, at - 200), at + 200);
}

function userIdIn(payload) {
  try {
    return Number(JSON.parse(Buffer.from(payload, 'base64url').toString()).user_id);
  } catch {
    return Number.NaN;
  }
}
