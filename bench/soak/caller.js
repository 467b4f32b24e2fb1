// One user's requests over HTTP, and one WebSocket each for their operations. What comes back goes through the journal.
import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';

const TIMEOUT_MS = 20_000;
const RETRY_MS = 150;
/** Longer than the server is silent on a socket: it pings. */
const SILENCE_MS = 10_000;
const CODE_OF_STATUS = {
  500: 'INTERNAL',
  503: 'OVERLOADED',
  429: 'RATE_LIMITED',
  404: 'NOT_FOUND',
  401: 'UNAUTHENTICATED',
};
const EXCERPT = 300;
const JSON_HEADERS = { 'content-type': 'application/json' };

/** What nginx answers by itself when no node is there. */
const isOfProxy = ({ status, text }) => [502, 503, 504].includes(status) && text.includes('<center>nginx');

export class Caller {
  #agent = new Agent({ keepAlive: true, maxSockets: 8 });
  token = null;

  constructor({ url, journal, run, index, name }) {
    Object.assign(this, { url, journal, run, index, name });
  }

  get authorization() {
    return `Bearer ${this.token}`;
  }

  close() {
    this.#agent.destroy();
  }

  /** Sends a request over HTTP; the status is 0 when the connection ended without an answer. */
  #exchange(path, { method = 'GET', headers = {}, body }) {
    return new Promise((resolve) => {
      const none = { status: 0, text: '' };
      const outgoing = request(
        `${this.url}${path}`,
        {
          method,
          agent: this.#agent,
          headers: { ...(this.token && { authorization: this.authorization }), ...headers },
          signal: AbortSignal.timeout(TIMEOUT_MS),
        },
        (answer) => {
          let text = '';
          answer.setEncoding('utf8').on('data', (chunk) => {
            text += chunk;
          });
          answer.once('end', () => resolve({ status: answer.statusCode, text }));
          answer.once('error', () => resolve(none));
        },
      );
      outgoing.once('error', () => resolve(none));
      outgoing.once('close', () => resolve(none));
      outgoing.end(body);
    });
  }

  /** Sends a request to a REST path. Returns its status and text, or null when it failed and is in the journal. */
  async rest(path, { method = 'GET', body, key, expected = [200, 201, 204] } = {}) {
    const since = performance.now();
    const headers = { ...(body && JSON_HEADERS), ...(key && { 'idempotency-key': key }) };
    const answer = await this.#exchange(path, { method, headers, body: body && JSON.stringify(body) });
    this.journal.count('requests');
    this.journal.check(this.index, answer.text, since);
    if (expected.includes(answer.status)) {
      return answer;
    }
    const code =
      answer.status === 0 || isOfProxy(answer) ? 'network' : (CODE_OF_STATUS[answer.status] ?? `HTTP ${answer.status}`);
    this.journal.fail(`${method} ${path} ${answer.text.slice(0, EXCERPT)}`, code, since);
    return null;
  }

  /** Sends an operation over HTTP. Returns its data, or null when it failed and is in the journal. */
  async graphql(query, variables) {
    const since = performance.now();
    const body = JSON.stringify({ query, variables });
    const answer = await this.#exchange('/graphql', { method: 'POST', headers: JSON_HEADERS, body });
    this.journal.count('requests');
    this.journal.check(this.index, answer.text, since);
    if (answer.status === 0 || isOfProxy(answer)) {
      this.journal.fail(query, 'network', since);
      return null;
    }
    return this.#dataOf(query, parse(answer.text), since, answer);
  }

  #dataOf(query, result, since, answer) {
    if (result?.data && !result.errors) {
      return result.data;
    }
    const error = result?.errors?.[0];
    const said = error?.message ?? answer?.text.slice(0, EXCERPT);
    const code = error?.extensions?.code ?? (answer?.status === 503 ? 'OVERLOADED' : 'no code');
    this.journal.fail(`${query.slice(0, EXCERPT)} ${JSON.stringify(said)}`, code, since);
    return null;
  }

  /** Sends an operation over the user's WebSocket; as {@link graphql}. */
  async overSocket(query, variables) {
    const since = performance.now();
    const result = await this.socket.ask(query, variables);
    this.journal.count('operations over WebSocket');
    if (result === null) {
      // The end of the connection is in the journal.
      return null;
    }
    this.journal.check(this.index, JSON.stringify(result), since);
    return this.#dataOf(query, result, since);
  }

  /** Repeats an attempt until it is answered, as a client does that may not lose its write. */
  async persist(attempt) {
    for (;;) {
      const answer = await attempt();
      if (answer !== null) {
        return answer;
      }
      if (this.run.isAbandoned()) {
        this.journal.find('availability', 'A request was not answered long after the last fault.');
        throw new Error('abandoned');
      }
      await pause(RETRY_MS);
    }
  }
}

/** A graphql-transport-ws connection that comes back, and subscribes again where its subscriptions were. */
export class OperationSocket {
  #caller;
  #socket = null;
  #pending = new Map();
  #streams = new Map();
  #isAcknowledged = false;
  #count = 0;
  #isClosed = false;

  constructor(caller) {
    this.#caller = caller;
    this.#connect();
  }

  #connect() {
    const { url, journal, authorization } = this.#caller;
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      handshakeTimeout: TIMEOUT_MS,
    });
    this.#socket = socket;
    let watchdog;
    let refusal = null;
    socket.on('unexpected-response', (_, answer) => {
      refusal = answer.statusCode === 503 ? 'OVERLOADED' : null;
      answer.destroy();
      socket.terminate();
    });
    const heard = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => socket.terminate(), SILENCE_MS);
    };
    heard();
    socket.on('ping', heard);
    socket.on('open', () => socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } })));
    socket.on('error', () => undefined);
    socket.on('message', (data) => {
      heard();
      this.#receive(JSON.parse(String(data)));
    });
    socket.on('close', (code) => {
      clearTimeout(watchdog);
      this.#isAcknowledged = false;
      for (const settle of this.#pending.values()) {
        settle(null);
      }
      this.#pending.clear();
      if (!this.#isClosed) {
        journal.count('sockets that were cut');
        // 1006: the connection broke; 1001 and 1012: the node ends.
        const since = performance.now() - SILENCE_MS;
        const cause = [1001, 1006, 1012].includes(code) ? 'network' : `close code ${code}`;
        journal.fail(`WebSocket closed with ${code}`, refusal ?? cause, since);
        setTimeout(() => this.#connect(), RETRY_MS);
      }
    });
  }

  #receive({ type, id, payload }) {
    if (type === 'connection_ack') {
      this.#isAcknowledged = true;
      for (const [streamId, stream] of this.#streams) {
        this.#subscribe(streamId, stream);
      }
    } else if (type === 'ping') {
      this.#socket.send('{"type":"pong"}');
    } else if (this.#streams.has(id)) {
      this.#streams.get(id).onMessage(type, payload, () => this.#again(id));
    } else if (type === 'next' || type === 'error') {
      this.#pending.get(id)?.(type === 'next' ? payload : { errors: payload });
      this.#pending.delete(id);
    }
  }

  #again(id) {
    setTimeout(() => {
      if (this.#isAcknowledged) {
        this.#subscribe(id, this.#streams.get(id));
      }
    }, RETRY_MS);
  }

  #subscribe(id, stream) {
    const payload = { query: stream.query, variables: { ...stream.variables, after: stream.cursor } };
    this.#socket.send(JSON.stringify({ type: 'subscribe', id, payload }));
  }

  /** Keeps a stream subscribed. */
  add(stream) {
    this.#count += 1;
    const id = `s${this.#count}`;
    this.#streams.set(id, stream);
    if (this.#isAcknowledged) {
      this.#subscribe(id, stream);
    }
  }

  /** Resolves once it is connected. */
  async ready() {
    while (!this.#isAcknowledged) {
      await pause(RETRY_MS);
    }
  }

  /** Resolves with the result of an operation; null when the connection did not last. */
  ask(query, variables) {
    if (!this.#isAcknowledged) {
      return pause(RETRY_MS, null);
    }
    this.#count += 1;
    const id = `o${this.#count}`;
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      this.#socket.send(JSON.stringify({ type: 'subscribe', id, payload: { query, variables } }));
    });
  }

  close() {
    this.#isClosed = true;
    this.#socket.terminate();
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
