import {
  createSourceEventStream,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  type FormattedExecutionResult,
  visit,
} from 'graphql';
import type { StreamEvent } from '../changes/watch.ts';
import type { Context } from '../context.ts';
import { acrossOutages } from '../database/outages.ts';
import { isDefect, presentError, type ReportDefect } from './mask.ts';
import { forStream } from './results.ts';

/** How many results of one group are remembered: as many as its members may lie apart while they are live. */
const REMEMBERED = 256;

export type SubscriptionArgs = Omit<ExecutionArgs, 'contextValue'> & { readonly contextValue: Context };

/** A result of a subscription as all subscribers with the same document, variables and rights get it. */
export interface SharedResult {
  readonly result: FormattedExecutionResult;
  /** The result as JSON. */
  readonly text: string;
  /** The place in the log of the change that it tells of, if it does. */
  readonly cursor: string | null;
}

/** Subscribers with the same document, variables and rights. */
interface Group {
  members: number;
  readonly results: Map<string, Promise<SharedResult>>;
}

/** Runs subscriptions so that an event is executed and written as JSON once for all subscribers with the same document, variables and rights. */
export class FanOut {
  readonly #groups = new Map<string, Group>();
  readonly #report: ReportDefect;

  constructor(report: ReportDefect) {
    this.#report = report;
  }

  /** Starts a subscription: a stream of results, or the one result that says why there is none. */
  async subscribe(args: SubscriptionArgs): Promise<AsyncIterableIterator<SharedResult> | ExecutionResult> {
    const source = await settled(args, () => createSourceEventStream(args));
    if (!(Symbol.asyncIterator in source)) {
      return this.#present(source, args);
    }
    const key = groupKey(args);
    const group = this.#join(key);
    return mapped(
      source[Symbol.asyncIterator](),
      (event) => this.#resultOf(group, event, args),
      () => this.#leave(key, group),
    );
  }

  #resultOf(group: Group, event: unknown, args: SubscriptionArgs): Promise<SharedResult> {
    if (!isChange(event)) {
      return this.#execute(event, args);
    }
    const name = `${event.cursor} ${event.action} ${event.id}`;
    let result = group.results.get(name);
    if (!result) {
      result = this.#execute(event, args);
      group.results.set(name, result);
      if (group.results.size > REMEMBERED) {
        const [oldest] = group.results.keys();
        group.results.delete(oldest ?? name);
      }
    }
    return result;
  }

  async #execute(event: unknown, args: SubscriptionArgs): Promise<SharedResult> {
    const executed = await settled(args, async () => execute({ ...args, rootValue: event }));
    const result = forStream(this.#present(executed, args));
    return { result, text: JSON.stringify(result), cursor: isChange(event) ? event.cursor : null };
  }

  #present(result: ExecutionResult, { contextValue }: SubscriptionArgs): ExecutionResult {
    return result.errors
      ? {
          ...result,
          errors: result.errors.map((error) => presentError(error, contextValue.requestId, this.#report)),
        }
      : result;
  }

  #join(key: string): Group {
    const group = this.#groups.get(key) ?? { members: 0, results: new Map() };
    group.members += 1;
    this.#groups.set(key, group);
    return group;
  }

  #leave(key: string, group: Group): void {
    group.members -= 1;
    if (group.members === 0) {
      this.#groups.delete(key);
    }
  }
}

/** A result that nobody expected, on its way to be asked for once more. */
class DefectiveResult extends Error {
  readonly result: ExecutionResult;

  constructor(result: ExecutionResult) {
    super('The result holds errors that nobody expected.');
    this.result = result;
  }
}

/** Runs an operation, and runs it again where it failed because the database was away: no event is to get lost by that. */
async function settled<Result extends object>(
  { contextValue: { database } }: SubscriptionArgs,
  run: () => Promise<ExecutionResult | Result>,
): Promise<ExecutionResult | Result> {
  try {
    return await acrossOutages(database, async () => {
      const result = await run();
      if ('errors' in result && result.errors?.some(isDefect)) {
        throw new DefectiveResult(result);
      }
      return result;
    });
  } catch (error) {
    if (error instanceof DefectiveResult) {
      return error.result;
    }
    throw error;
  }
}

function isChange(event: unknown): event is StreamEvent {
  return typeof event === 'object' && event !== null && 'cursor' in event && 'action' in event;
}

function groupKey({ document, operationName, variableValues, contextValue: { viewer } }: SubscriptionArgs): string {
  const resumes = resumeVariable(document);
  const variables = Object.fromEntries(Object.entries(variableValues ?? {}).filter(([name]) => name !== resumes));
  const rights = viewer.kind === 'user' ? [viewer.id, viewer.isStaff] : null;
  return JSON.stringify([document.loc?.source.body, operationName, variables, rights]);
}

/** The variable that only says where the subscription starts, which makes no difference to what an event looks like. */
function resumeVariable(document: DocumentNode): string | null {
  const uses = new Map<string, number>();
  let name: string | null = null;
  visit(document, {
    Variable: (node) => {
      uses.set(node.name.value, (uses.get(node.name.value) ?? 0) + 1);
    },
    Argument: (node) => {
      if (node.name.value === 'after' && node.value.kind === 'Variable') {
        name = node.value.name.value;
      }
    },
  });
  // Its definition and the one use.
  return name !== null && uses.get(name) === 2 ? name : null;
}

function mapped<Event, Result>(
  source: AsyncIterator<Event>,
  map: (event: Event) => Promise<Result>,
  onEnd: () => void,
): AsyncIterableIterator<Result> {
  let ended = false;
  const end = (): void => {
    if (!ended) {
      ended = true;
      onEnd();
    }
  };
  return {
    async next() {
      try {
        const step = await source.next();
        if (step.done) {
          end();
          return { done: true, value: undefined };
        }
        return { done: false, value: await map(step.value) };
      } catch (error) {
        end();
        throw error;
      }
    },
    async return() {
      end();
      await source.return?.();
      return { done: true, value: undefined };
    },
    async throw(error) {
      end();
      await source.return?.();
      throw error;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
