import { randomUUID } from 'node:crypto';
import {
  type ASTNode,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  getOperationAST,
  Kind,
  type SelectionSetNode,
  visit,
} from 'graphql';
import type { StreamEvent } from '../changes/filter.ts';
import type { Renderer } from '../changes/results.ts';
import type { Context } from '../context.ts';
import { acrossOutages } from '../database/outages.ts';
import type { Viewer } from '../viewer.ts';
import { limitErrors } from './error-limits.ts';
import { isDefect, presentError, type ReportDefect } from './mask.ts';
import { forStream } from './results.ts';

export type SubscriptionArgs = Omit<ExecutionArgs, 'contextValue'> & { readonly contextValue: Context };

/**
 * Executes a subscription for its events. An event is executed once for all subscriptions with the same document, operation and variables, as far as
 * their viewers are alike in what the execution reads of them.
 */
export class SubscriptionRenderer implements Renderer {
  readonly key: string;
  readonly #args: SubscriptionArgs;
  readonly #report: ReportDefect;

  constructor(args: SubscriptionArgs, report: ReportDefect) {
    this.key = keyOf(args);
    this.#args = args;
    this.#report = report;
  }

  async render(events: readonly StreamEvent[], viewer: Viewer): Promise<string[]> {
    const contextValue = this.#contextFor(viewer, events.length);
    // Together, so that what hangs on them is loaded together.
    const results = await Promise.all(events.map((event) => this.#execute(event, contextValue)));
    return results.map((result) => JSON.stringify(forStream(presentResult(result, contextValue, this.#report))));
  }

  #execute(event: StreamEvent, contextValue: Context): Promise<ExecutionResult> {
    return acrossOutagesOf(contextValue, async () => execute({ ...this.#args, contextValue, rootValue: event }));
  }

  /** Nothing of the one subscription that happens to ask is left in it, but what its viewer says. */
  #contextFor(viewer: Viewer, events: number): Context {
    const { contextValue } = this.#args;
    return {
      ...contextValue,
      viewer,
      refusal: null,
      requestId: randomUUID(),
      address: '',
      connection: null,
      answer: contextValue.answer.renew(events),
      delivery: contextValue.feed.loop.wave,
    };
  }
}

/** A result whose errors are those that clients may see. */
export function presentResult(result: ExecutionResult, { requestId }: Context, report: ReportDefect): ExecutionResult {
  return result.errors
    ? { ...result, errors: limitErrors(result.errors, (error) => presentError(error, requestId, report)) }
    : result;
}

/** Carries a result with unexpected errors to the retry loop. */
class DefectiveResult extends Error {
  readonly result: ExecutionResult;

  constructor(result: ExecutionResult) {
    super('The result holds unexpected errors.');
    this.result = result;
  }
}

/** Runs an operation, and runs it again where it failed because the database was away, so that no event is lost by that. */
export async function acrossOutagesOf<Result extends object>(
  { database }: Context,
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

function keyOf({ document, operationName, variableValues }: SubscriptionArgs): string {
  const resumes = resumeVariable(document, operationName);
  const variables = Object.fromEntries(Object.entries(variableValues ?? {}).filter(([name]) => name !== resumes));
  return JSON.stringify([document.loc?.source.body, operationName, variables]);
}

/**
 * The variable that is the `after` argument of the subscription's own field, and nothing else: it says where the subscription starts, and makes no
 * difference to what an event looks like.
 */
function resumeVariable(document: DocumentNode, operationName: string | null | undefined): string | null {
  const operation = getOperationAST(document, operationName);
  const name = operation && afterVariable(operation.selectionSet);
  if (!operation || !name) {
    return null;
  }
  const fragments = document.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION);
  // Its definition and the one use.
  return usesOf(name, operation) === 2 && fragments.every((fragment) => usesOf(name, fragment) === 0) ? name : null;
}

function usesOf(name: string, node: ASTNode): number {
  let uses = 0;
  visit(node, {
    Variable: (variable) => {
      uses += variable.name.value === name ? 1 : 0;
    },
  });
  return uses;
}

function afterVariable({ selections }: SelectionSetNode): string | null {
  for (const selection of selections) {
    const after =
      selection.kind === Kind.FIELD ? selection.arguments?.find((argument) => argument.name.value === 'after') : null;
    if (after?.value.kind === Kind.VARIABLE) {
      return after.value.name.value;
    }
  }
  return null;
}
