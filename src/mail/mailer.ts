import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { createTransport, type Transporter } from 'nodemailer';
import type { MailSettings } from '../config/config.ts';
import { OverloadedError } from '../errors.ts';

export interface Mail {
  /** The address of the recipient. */
  readonly to: string;
  readonly subject: string;
  /** Plain text. */
  readonly text: string;
}

/** The maximum number of mails that wait or are being sent; each takes a few kilobytes of memory. */
const MAX_PENDING = 1000;
const CONNECTIONS = 2;
/** The timeout of each step of the SMTP dialogue, in milliseconds. */
const STEP_TIMEOUT_MS = 10_000;
/** The random delay before the work for a mail begins, in milliseconds: after the response to the request is sent. */
const MIN_DELAY_MS = 200;
const MAX_DELAY_MS = 1_000;
/** The time for which `close` waits for mails that are being sent, in milliseconds. */
const CLOSE_TIMEOUT_MS = 3_000;
/** The delays before each retry of a mail, in milliseconds. */
const RETRY_DELAYS_MS = [1_000, 10_000, 60_000];
/** The `Retry-After` of a request that finds too many mails waiting, in seconds. */
const RETRY_AFTER_S = 60;

/** Sends mails by SMTP in the background. Waiting mails are lost when the process exits; users can request them again. */
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
   * Calls `write` after a random delay and sends the mail that it returns, if any. All database reads happen in `write`, so
   * that the time of the response does not reveal whether a mail is sent.
   *
   * @throws {OverloadedError} when too many mails wait already
   */
  enqueue(write: () => Promise<Mail | null>): void {
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

  /** Waits a few seconds for the mails that are being sent, without retries, and closes the connections. */
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
    // As an object, because nodemailer can parse a text as several addresses.
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

/** Returns whether a mail server rejected a mail permanently (RFC 5321, section 4.2.1), so that a retry is useless. */
function isRefused(error: unknown): boolean {
  const code = error instanceof Error && 'responseCode' in error ? Number(error.responseCode) : 0;
  return code >= 500;
}
