import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { createTransport, type Transporter } from 'nodemailer';
import { OverloadedError } from '../errors.ts';

export interface MailSettings {
  /** The mail server: `smtp://user:password@host:587`, or `smtps:` for TLS from the start. */
  readonly url: string;
  /** Who the mails are from, like `Tidings <tidings@example.org>`. */
  readonly from: string;
}

export interface Mail {
  /** One address, as it is stored. */
  readonly to: string;
  readonly subject: string;
  /** Plain text. */
  readonly text: string;
}

/** How many mails may wait or be sent; each takes a few kilobytes. */
const MAX_PENDING = 1000;
const CONNECTIONS = 2;
/** How long the mail server may take for each step, in milliseconds. */
const STEP_TIMEOUT_MS = 10_000;
/** When the work for a mail begins, in milliseconds after it was asked for: long after the answer. */
const MIN_DELAY_MS = 200;
const MAX_DELAY_MS = 1_000;
/** How long a server that stops waits for the mails that are being sent, in milliseconds. */
const CLOSE_TIMEOUT_MS = 3_000;
/** How long the mailer rests before it tries again to send a mail, in milliseconds, for each time. */
const RETRY_DELAYS_MS = [1_000, 10_000, 60_000];
/** When a caller who found too many mails waiting should try again, in seconds. */
const RETRY_AFTER_S = 60;

/** Sends mails by SMTP in the background. A mail that waits is lost with its process: whoever asked for it can ask again. */
export class Mailer {
  readonly #transport: Transporter;
  readonly #from: string;
  readonly #onFailure: (error: unknown) => void;
  readonly #pending = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  constructor({ url, from }: MailSettings, onFailure: (error: unknown) => void) {
    this.#from = from;
    this.#onFailure = onFailure;
    this.#transport = createTransport({
      url,
      pool: true,
      maxConnections: CONNECTIONS,
      connectionTimeout: STEP_TIMEOUT_MS,
      greetingTimeout: STEP_TIMEOUT_MS,
      socketTimeout: STEP_TIMEOUT_MS,
      dnsTimeout: STEP_TIMEOUT_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
  }

  /**
   * Sends a mail a moment later, unless there is none to be sent. Nothing is looked up before that moment, which nobody knows: no answer takes longer where there
   * is one.
   *
   * @throws {OverloadedError} when too many mails wait already
   */
  post(write: () => Promise<Mail | null>): void {
    if (this.#pending.size >= MAX_PENDING) {
      throw new OverloadedError('Too many mails are waiting to be sent. Try again in a minute.', RETRY_AFTER_S);
    }
    const delay = randomInt(MIN_DELAY_MS, MAX_DELAY_MS);
    const sending: Promise<void> = pause(delay, undefined, { signal: this.#closing.signal, ref: false })
      .catch(() => undefined)
      .then(() => this.#send(write))
      .catch(this.#onFailure)
      .finally(() => this.#pending.delete(sending));
    this.#pending.add(sending);
  }

  /** Lets what is being sent end, for a few seconds and without trying again, and closes the connections. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.race([Promise.all(this.#pending), pause(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
    this.#transport.close();
  }

  async #send(write: () => Promise<Mail | null>): Promise<void> {
    const mail = await write();
    if (!mail) {
      return;
    }
    const { to, subject, text } = mail;
    // As an object: a text could be read as a list of addresses.
    const message = { from: this.#from, to: { name: '', address: to }, subject, text };
    for (const delay of RETRY_DELAYS_MS) {
      try {
        await this.#transport.sendMail(message);
        return;
      } catch (error) {
        if (isRefused(error) || this.#closing.signal.aborted) {
          throw error;
        }
      }
      await pause(delay, undefined, { signal: this.#closing.signal, ref: false }).catch(() => undefined);
    }
    await this.#transport.sendMail(message);
  }
}

/** Whether a mail server refused a mail for good (RFC 5321 section 4.2.1): the same one would be refused again. */
function isRefused(error: unknown): boolean {
  const code = error instanceof Error && 'responseCode' in error ? Number(error.responseCode) : 0;
  return code >= 500;
}
