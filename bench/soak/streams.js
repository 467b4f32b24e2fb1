// Subscriptions that resume by their cursors after every cut, and keep what they have received for the oracle.
import { request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

const RETRY_MS = 150;
const SILENCE_MS = 10_000;

/** The subscriptions of the run, by the model of their rows. */
const TOPICS = {
  Todo: { field: 'todoChanged', object: 'todo', title: 'title', row: 'todo { title completed }' },
  Note: { field: 'noteChanged', object: 'note', title: 'title', row: 'note { title }' },
  Post: { field: 'postChanged', object: 'post', title: 'title', row: 'post { title }' },
  ChatMessage: { field: 'chatMessageChanged', object: 'chatMessage', title: 'message', row: 'chatMessage { message }' },
};

/** The codes of statuses: that of the server, and those of nginx when no node answers. */
const FAILURES = { 502: 'network', 503: 'OVERLOADED', 504: 'network' };

const seqOf = (cursor) => Number(/:(\d+)-/.exec(cursor)[1]);

/** What one subscriber has received of one subscription since its first cursor. */
export class Stream {
  /** The events in the order of their first arrival: `{seq, action, id, title}`. */
  events = [];
  duplicates = 0;
  #seen = new Map();

  /** With a `chat`, the subscription may be completed and refused: its user may have been removed. */
  constructor({ caller, model, cursor, chat = null }) {
    this.topic = TOPICS[model];
    Object.assign(this, { caller, model, cursor, chat, since: seqOf(cursor) });
    const { field, row } = this.topic;
    const [declared, passed] = chat ? [', $uri: String!', ', uri: $uri'] : ['', ''];
    this.query = `subscription ($after: String${declared}) { ${field}(after: $after${passed}) { action cursor id ${row} } }`;
    this.variables = chat ? { uri: chat.uri } : {};
    this.name = `user ${caller.index}'s ${field}${chat ? ` of chat ${chat.index}` : ''}`;
  }

  /** The sequence number of the last event, or of the start. */
  get position() {
    return this.events.at(-1)?.seq ?? this.since;
  }

  /** Takes the payload of an event, or of the end of the subscription. `again` subscribes once more. */
  onMessage(type, payload, again) {
    if (type === 'next' && payload.data) {
      this.#receive(payload);
      return;
    }
    if (type !== 'complete') {
      this.onErrors(type === 'error' ? payload : payload.errors);
    } else if (!this.chat) {
      this.caller.journal.find('events', `${this.name} was completed.`);
    }
    if (type !== 'next') {
      again();
    }
  }

  onErrors(errors) {
    const { journal } = this.caller;
    const code = errors?.[0]?.extensions?.code ?? 'no code';
    if (code === 'RESYNC_REQUIRED') {
      journal.find('events', `${this.name} ended with RESYNC_REQUIRED at ${this.cursor}: ${errors[0].message}`);
    } else if (!(code === 'NOT_FOUND' && this.chat)) {
      journal.fail(`${this.name}: ${errors?.[0]?.message}`, code, performance.now());
    }
  }

  #receive({ data, errors }) {
    const { journal, index } = this.caller;
    const { field, object, title } = this.topic;
    const event = data[field];
    journal.count('events');
    journal.check(index, JSON.stringify(data));
    if (!event || errors) {
      journal.find('events', `${this.name} received ${JSON.stringify({ data, errors })}`);
      return;
    }
    const seq = seqOf(event.cursor);
    const received = {
      seq,
      action: event.action,
      id: Number(Buffer.from(event.id, 'base64url').toString().split(':')[1]),
      title: event[object]?.[title] ?? null,
    };
    const earlier = this.#seen.get(event.cursor);
    if (earlier) {
      this.duplicates += 1;
      if (JSON.stringify(earlier) !== JSON.stringify(received)) {
        journal.find('events', `${this.name}: ${event.cursor} came twice, with different contents.`);
      }
      return;
    }
    if (seq <= this.position) {
      journal.find('events', `${this.name} received ${seq} after ${this.position}.`);
    }
    this.#seen.set(event.cursor, received);
    this.events.push(received);
    this.cursor = event.cursor;
  }
}

/** Follows a stream over server-sent events until `isClosed()`, with the header `Last-Event-ID` where it goes on. */
export function follow(stream, isClosed) {
  let current = null;
  const done = (async () => {
    while (!isClosed()) {
      const failure = await new Promise((resolve) => {
        current = open(stream, resolve);
      });
      if (failure && !isClosed()) {
        stream.caller.journal.count('event streams that were cut');
        stream.caller.journal.fail(`${stream.name} over SSE`, failure, performance.now() - SILENCE_MS);
      }
      await pause(RETRY_MS);
    }
  })();
  return {
    close: () => {
      current?.destroy();
      return done;
    },
  };
}

function open(stream, resolve) {
  const { caller } = stream;
  const query = `?query=${encodeURIComponent(stream.query)}&variables=${encodeURIComponent(JSON.stringify(stream.variables))}`;
  const headers = {
    accept: 'text/event-stream',
    authorization: caller.authorization,
    'last-event-id': stream.cursor,
  };
  const outgoing = request(`${caller.url}/graphql${query}`, { headers, agent: false }, (answer) => {
    if (answer.statusCode !== 200) {
      resolve(FAILURES[answer.statusCode] ?? `HTTP ${answer.statusCode}`);
      outgoing.destroy();
      return;
    }
    let rest = '';
    answer.setEncoding('utf8').on('data', (chunk) => {
      heard();
      const blocks = `${rest}${chunk}`.split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) {
        receive(stream, block, outgoing);
      }
    });
    answer.once('error', () => undefined);
  });
  let watchdog;
  const heard = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => outgoing.destroy(), SILENCE_MS);
  };
  heard();
  outgoing.once('error', () => undefined);
  outgoing.once('close', () => {
    clearTimeout(watchdog);
    resolve('network');
  });
  outgoing.end();
  return outgoing;
}

function receive(stream, block, outgoing) {
  const fields = new Map(
    block.split('\n').map((line) => [line.split(':', 1)[0], line.slice(line.indexOf(':') + 1).trim()]),
  );
  const type = fields.get('event');
  if (type === 'next') {
    const payload = JSON.parse(fields.get('data'));
    const event = payload.data?.[stream.topic.field];
    if (event && event.cursor !== fields.get('id')) {
      stream.caller.journal.find(
        'events',
        `${stream.name}: the id ${fields.get('id')} is not the cursor ${event.cursor}.`,
      );
    }
    stream.onMessage('next', payload, () => undefined);
  } else if (type === 'complete') {
    // What ends a subscription was reported by the event before.
    outgoing.destroy();
  }
}
