// How the run talks to the server: HTTP, the three WebSockets, event streams and bare TCP. All that comes back is counted and given to the oracle.
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { WebSocket } from 'ws';
import { ANONYMOUS } from './oracle.js';

const TIMEOUT_MS = 20_000;
const STREAM_LIFE_MS = 1000;
const NO_ANSWER = 'no answer in time';
const MAX_KEPT_DEFECTS = 20;
const EXCERPT = 700;
/** What no answer may contain: places in the code, statements, libraries. */
const INSIDES =
  /node_modules|file:\/\/|\/(src|dist)\/\S*\.[cm]?[jt]s|(\n|\\n)\s+at |SQLITE_|SELECT .*FROM "|INSERT INTO "/;
const DEFECT = /Unexpected error|"INTERNAL"/;
/** Statuses of a server that works: overload and a version of HTTP that is not served are refusals. */
const REFUSALS = new Set([503, 505]);

const SHOWS_EMAILS = /^\/(api\/chats|ws\/)/;

const brief = (value) => (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).slice(0, EXCERPT);

export class Client {
  #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  #requests = new Map();
  #answers = new Map();
  #open = new Set();
  isClosed = false;
  defects = [];
  defectCount = 0;

  constructor(url, oracle) {
    this.url = url;
    this.oracle = oracle;
    const { hostname, port } = new URL(url);
    this.address = { host: hostname, port: Number(port) };
  }

  /** Ends all that is open. */
  close() {
    this.isClosed = true;
    this.#agent.destroy();
    for (const socket of this.#open) {
      (socket.terminate ?? socket.destroy).call(socket);
    }
  }

  get openCount() {
    return this.#open.size;
  }

  count(kind, answer) {
    this.#requests.set(kind, (this.#requests.get(kind) ?? 0) + 1);
    if (answer !== undefined) {
      this.countAnswer(answer);
    }
  }

  countAnswer(answer) {
    this.#answers.set(answer, (this.#answers.get(answer) ?? 0) + 1);
  }

  counts() {
    const sorted = (map) => [...map].sort(([, left], [, right]) => right - left);
    return { requests: sorted(this.#requests), answers: sorted(this.#answers) };
  }

  defect(text) {
    this.defectCount += 1;
    if (this.defects.length < MAX_KEPT_DEFECTS) {
      this.defects.push(text);
    }
  }

  /** Sends a request over HTTP as it is. Resolves with the answer, whose status is 0 when the connection ended without one. */
  async send(kind, viewer, { method = 'GET', path, headers = {}, body, agent = this.#agent }) {
    const since = performance.now();
    const sent = `${path} ${brief(headers)} ${body ?? ''}`;
    const what = () =>
      `${kind}: ${method} ${path.slice(0, EXCERPT)} ${brief({ ...viewer.headers, ...headers })} ${brief(String(body ?? ''))}`;
    const answer = await this.#exchange({ method, path, headers: { ...viewer.headers, ...headers }, body, agent });
    const code = /"code":"([A-Z_]+)"/.exec(answer.text)?.[1];
    this.count(kind, answer.failure ?? code ?? `HTTP ${answer.status}`);
    const isJson = String(answer.headers?.['content-type']).includes('json');
    if ((answer.status >= 500 && !REFUSALS.has(answer.status)) || DEFECT.test(answer.text)) {
      this.defect(`${answer.status} ${what()}\n    ${answer.text.slice(0, EXCERPT)}`);
    } else if (isJson && INSIDES.test(answer.text)) {
      this.defect(`The answer shows insides of the server: ${what()}\n    ${INSIDES.exec(answer.text)[0]}`);
    } else if (answer.failure === NO_ANSWER) {
      this.defect(`No answer within ${TIMEOUT_MS} ms: ${what()}`);
    }
    this.oracle.check(viewer, answer.text, { since, sent, what, showsEmails: SHOWS_EMAILS.test(path) });
    return { ...answer, tookMs: performance.now() - since };
  }

  #exchange({ method, path, headers, body, agent }) {
    return new Promise((resolve) => {
      let outgoing;
      const finish = (answer) => {
        clearTimeout(deadline);
        resolve(answer);
      };
      const fail = (failure) => finish({ status: 0, headers: {}, text: '', failure });
      // The time-out of a socket starts anew whenever bytes go out, and does not run while a request waits for a connection.
      const deadline = setTimeout(() => {
        fail(outgoing?.socket ? NO_ANSWER : 'no connection in time');
        outgoing?.destroy();
      }, TIMEOUT_MS);
      try {
        const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
        outgoing = request({ ...this.address, method, path, headers: { ...length, ...headers }, agent }, (answer) => {
          const chunks = [];
          answer.on('data', (chunk) => chunks.push(chunk));
          answer.once('error', (error) => fail(error.code));
          const end = () =>
            finish({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(chunks).toString() });
          answer.once('end', end);
          if (String(answer.headers['content-type']).includes('event-stream')) {
            // A hostile document may be a subscription, which does not end by itself.
            setTimeout(() => {
              end();
              outgoing.destroy();
            }, STREAM_LIFE_MS);
          }
        });
        outgoing.once('upgrade', (_, socket) => {
          socket.destroy();
          fail('upgraded');
        });
        outgoing.once('error', (error) => fail(error.code ?? error.message));
        // Of an answer that is cut off, Node may report nothing else.
        outgoing.once('close', () => fail('closed without an answer'));
        outgoing.end(body);
      } catch (error) {
        // Node itself sends no such path or header.
        fail(`not sendable: ${error.code}`);
      }
    });
  }

  /** Sends an operation; `data` of the answer is null where there is none. */
  async graphql(kind, viewer, query, variables, extra = {}) {
    const body = typeof extra.body === 'string' ? extra.body : JSON.stringify({ query, variables });
    const headers = { 'content-type': 'application/json', ...extra.headers };
    const answer = await this.send(kind, viewer, { method: 'POST', path: '/graphql', headers, body });
    return { ...answer, data: dataOf(answer.text) };
  }

  /** Opens a WebSocket; `onText` gets its messages after the oracle. Resolves once it is open, or with null. */
  socket(kind, viewer, path, { protocol, headers = {}, onText = () => undefined, onClose = () => undefined } = {}) {
    const socket = new WebSocket(`${this.url.replace('http', 'ws')}${path}`, protocol, {
      headers: { ...viewer.headers, ...headers },
    });
    this.#open.add(socket);
    const marksSent = [path];
    const send = socket.send.bind(socket);
    socket.send = (message) => {
      // Messages of the server quote no more than what was sent last.
      marksSent.push(brief(String(message)));
      marksSent.splice(0, marksSent.length - 100);
      if (socket.readyState === WebSocket.OPEN) {
        send(message);
      }
    };
    const what = () => `${kind}: ${path} after ${brief(marksSent.at(-1))}`;
    return new Promise((resolve) => {
      socket.once('open', () => resolve(socket));
      socket.on('unexpected-response', (_, answer) => {
        this.countAnswer(`HTTP ${answer.statusCode}`);
        if (answer.statusCode >= 500 && !REFUSALS.has(answer.statusCode)) {
          this.defect(`${answer.statusCode} ${what()}`);
        }
        answer.destroy();
        socket.terminate();
      });
      socket.on('error', () => undefined);
      socket.on('message', (data) => {
        const text = String(data);
        if (DEFECT.test(text) || INSIDES.test(text)) {
          this.defect(`${what()}\n    ${text.slice(0, EXCERPT)}`);
        }
        this.countAnswer(/"code":"([A-Z_]+)"/.exec(text)?.[1] ?? `event of ${kind}`);
        this.oracle.check(viewer, text, { sent: marksSent.join(' '), what, showsEmails: SHOWS_EMAILS.test(path) });
        onText(text, socket);
      });
      socket.once('close', (code, reason) => {
        this.#open.delete(socket);
        this.count(kind, `closed with ${code}`);
        if (code === 1011 || code === 4500) {
          this.defect(`closed with ${code} ${reason}: ${what()}`);
        }
        onClose(code);
        resolve(null);
      });
    });
  }

  /** Opens an event stream; resolves when it ends, or with its first 2 s when it is not 200. */
  stream(kind, viewer, query, { headers = {}, onOpen = () => undefined } = {}) {
    const path = `/graphql?query=${encodeURIComponent(query)}`;
    const what = () => `${kind}: ${path}`;
    return new Promise((resolve) => {
      const outgoing = request(
        {
          ...this.address,
          path,
          headers: { accept: 'text/event-stream', ...viewer.headers, ...headers },
          agent: false,
        },
        (answer) => {
          this.count(kind, `HTTP ${answer.statusCode}`);
          onOpen(outgoing);
          let rest = '';
          answer.setEncoding('utf8').on('data', (chunk) => {
            const events = `${rest}${chunk}`.split('\n\n');
            rest = events.pop();
            for (const event of events) {
              if (DEFECT.test(event)) {
                this.defect(`${what()}\n    ${event.slice(0, EXCERPT)}`);
              }
              this.oracle.check(viewer, event, { sent: path, what });
            }
          });
          answer.once('error', resolve);
        },
      );
      this.#open.add(outgoing);
      outgoing.once('error', resolve);
      outgoing.once('close', () => {
        this.#open.delete(outgoing);
        resolve();
      });
      outgoing.end();
    });
  }

  /** Opens a bare connection for hostile bytes; what comes back is that of an anonymous caller. Resolves when it is closed. */
  tcp(kind, use, { viewer = ANONYMOUS, sent = '' } = {}) {
    const socket = connect(this.address.port, this.address.host);
    this.#open.add(socket);
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', () => undefined);
    socket.once('connect', () => use(socket));
    return new Promise((resolve) => {
      socket.once('close', () => {
        this.#open.delete(socket);
        const status = /^HTTP\/1\.1 (\d+)/.exec(text)?.[1];
        this.count(kind, status ? `HTTP ${status}` : 'closed without an answer');
        const what = () => `${kind}: ${brief(sent)}`;
        if ((status >= '500' && !REFUSALS.has(Number(status))) || DEFECT.test(text)) {
          this.defect(`${what()}\n    ${text.slice(0, EXCERPT)}`);
        }
        this.oracle.check(viewer, text, { sent, what });
        resolve(text);
      });
    });
  }
}

function dataOf(text) {
  try {
    return JSON.parse(text).data ?? null;
  } catch {
    return null;
  }
}
