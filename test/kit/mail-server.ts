import type { AddressInfo } from 'node:net';
import PostalMime, { type Email } from 'postal-mime';
import { SMTPServer } from 'smtp-server';
import { expect } from 'vitest';

export interface ReceivedMail extends Email {
  /** To whom it was delivered, whatever its headers say. */
  readonly recipients: readonly string[];
}

export interface MailServer {
  /** For `SMTP_URL`. */
  readonly url: string;
  readonly received: readonly ReceivedMail[];
  /** The only mail to an address since it was last asked for; waits for it. */
  readonly next: (recipient: string) => Promise<ReceivedMail>;
  /** How many of the next mails are refused with this code of SMTP before they are read. */
  refuse(times: number, code: number): void;
  /** How many mails are still to be refused. */
  readonly refusals: () => number;
  /** Keeps every mail waiting from now on, until the function that it returns is called. */
  hold(): () => void;
  /** How many mails wait. */
  readonly held: () => number;
  readonly close: () => Promise<void>;
}

/** Starts a mail server that takes mails from who signs in to it. */
export async function startMailServer(): Promise<MailServer> {
  const received: ReceivedMail[] = [];
  const refusals: number[] = [];
  let gate: Promise<void> | null = null;
  let held = 0;
  const server = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    onAuth: ({ username, password }, _session, done) =>
      username === 'tidings' && password === 'p@ss' ? done(null, { user: username }) : done(new Error('Who are you?')),
    onRcptTo: async (_address, _session, done) => {
      if (gate) {
        held += 1;
        await gate;
        held -= 1;
      }
      const code = refusals.shift();
      done(code === undefined ? null : Object.assign(new Error('Not now.'), { responseCode: code }));
    },
    onData: async (stream, { envelope }, done) => {
      const mail = await PostalMime.parse(Buffer.concat(await stream.toArray()));
      received.push({ ...mail, recipients: envelope.rcptTo.map(({ address }) => address) });
      done();
    },
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.server.address() as AddressInfo;
  return {
    url: `smtp://tidings:p%40ss@127.0.0.1:${port}`,
    received,
    next: async (recipient) => {
      const isTheirs = ({ recipients }: ReceivedMail) => recipients.includes(recipient);
      await expect.poll(() => received.filter(isTheirs), { timeout: 10_000 }).toHaveLength(1);
      const [mail] = received.splice(received.findIndex(isTheirs), 1);
      return mail as ReceivedMail;
    },
    refuse: (times, code) => refusals.push(...Array.from({ length: times }, () => code)),
    hold: () => {
      let open = () => {};
      gate = new Promise((resolve) => {
        open = resolve;
      });
      return () => {
        gate = null;
        open();
      };
    },
    held: () => held,
    refusals: () => refusals.length,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
