/** How often messages that were not sent are reported at most, in milliseconds. */
const REPORT_INTERVAL_MS = 60_000;

/** What became of a message that another program published to the exchange of a chat. */
type Outcome = 'sent' | 'rejected' | 'limited';

/** Counts the messages of other programs, and reports those that are not sent to the operator, at most once a minute and without their content. */
export class ExchangeReports {
  readonly counts: Record<Outcome, number> = { sent: 0, rejected: 0, limited: 0 };
  readonly #onReport: (error: Error) => void;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #unreported = 0;

  constructor(onReport: (error: Error) => void) {
    this.#onReport = onReport;
  }

  count(outcome: Outcome): void {
    this.counts[outcome] += 1;
  }

  /** Counts a message that was not sent, and reports it unless another one was reported within a minute. */
  add(outcome: Exclude<Outcome, 'sent'>, chatId: number, reason: string): void {
    this.count(outcome);
    const now = performance.now();
    if (now - this.#reportedAt < REPORT_INTERVAL_MS) {
      this.#unreported += 1;
      return;
    }
    const more = this.#unreported === 0 ? '' : ` ${this.#unreported} earlier ones were not reported.`;
    this.#onReport(
      new Error(
        `A message that another program published to the exchange of chat ${chatId} was not sent to the sockets of the chat: ${reason}${more}`,
      ),
    );
    this.#reportedAt = now;
    this.#unreported = 0;
  }
}
