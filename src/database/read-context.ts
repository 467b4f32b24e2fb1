import type { AnswerBudget } from './answer-budget.ts';
import type { Database } from './client.ts';

/** The context of the reads of one request. Reads of the same object are batched. */
export interface ReadContext {
  readonly database: Database;
  /** The remaining limits of the operation. */
  readonly answer: AnswerBudget;
  /**
   * The loader scope of a subscription event, left out for requests. The subscribers may see the object of the event, and executions with the same scope share
   * the rows that the object refers to.
   */
  readonly delivery?: object;
}
