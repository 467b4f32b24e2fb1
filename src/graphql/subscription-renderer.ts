import { randomUUID } from 'node:crypto';
import {
  type ASTNode,
  type DocumentNode,
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
import { retryDuringOutage } from '../database/outages.ts';
import type { Viewer } from '../viewer.ts';
import { limitErrors } from './error-limits.ts';
import { formatResult } from './format-result.ts';
import { isUnexpectedError, maskError, type ReportUnexpectedError } from './mask.ts';
import type { OperationArgs } from './operation-args.ts';
import { codeOf } from './operation-record.ts';

/**
 * Executes a subscription for its events. An event is executed once for all subscriptions with the same document, operation
 * name and variables whose viewers do not differ in the properties that the execution reads.
 */
export class SubscriptionRenderer implements Renderer {
  readonly key: string;
  readonly #args: OperationArgs;
  readonly #report: ReportUnexpectedError;

  constructor(args: OperationArgs, report: ReportUnexpectedError) {
    this.key = keyOf(args);
    this.#args = args;
    this.#report = report;
  }

  render(events: readonly StreamEvent[], viewer: Viewer): Promise<string[]> {
    const contextValue = this.#contextFor(viewer, events.length);
    const { record } = this.#args.contextValue;
    const attributes = { 'graphql.operation.name': record?.operation?.name ?? '', 'tidings.events': events.length };
    const traced = { name: 'deliver', attributes, isRoot: true };
    return contextValue.telemetry.trace(traced, () => this.#renderAll(events, contextValue));
  }

  async #renderAll(events: readonly StreamEvent[], contextValue: Context): Promise<string[]> {
    // At the same time, so that the related rows of all events are loaded in batches.
    const results = await Promise.all(events.map((event) => this.#execute(event, contextValue)));
    const masked = results.map((result) => maskResult(result, contextValue, this.#report));
    const codes = new Set(masked.flatMap(({ errors = [] }) => errors.map(codeOf)));
    if (codes.size > 0) {
      const operation = this.#args.contextValue.record?.operation ?? null;
      contextValue.telemetry.report({ kind: 'deliveryFailed', operation, codes: [...codes] });
    }
    return masked.map((result) => JSON.stringify(formatResult(result)));
  }

  #execute(event: StreamEvent, contextValue: Context): Promise<ExecutionResult> {
    return executeAcrossOutages(contextValue, async () => execute({ ...this.#args, contextValue, rootValue: event }));
  }

  /** Returns the context of an execution whose result other subscriptions share: of the request only the viewer remains. */
  #contextFor(viewer: Viewer, events: number): Context {
    const { contextValue } = this.#args;
    return {
      ...contextValue,
      viewer,
      refusal: null,
      requestId: randomUUID(),
      address: '',
      connection: null,
      record: null,
      answer: contextValue.answer.renew(events),
      delivery: contextValue.feed.loop.loaderScope,
    };
  }
}

/** Returns a result with masked errors. */
export function maskResult(
  result: ExecutionResult,
  { requestId }: Context,
  report: ReportUnexpectedError,
): ExecutionResult {
  return result.errors
    ? { ...result, errors: limitErrors(result.errors, (error) => maskError(error, requestId, report)) }
    : result;
}

/** Passes a result with unexpected errors to `retryDuringOutage`, which decides whether to execute again. */
class UnexpectedErrors extends Error {
  readonly result: ExecutionResult;

  constructor(result: ExecutionResult) {
    super('The result has unexpected errors.');
    this.result = result;
  }
}

/** Runs an operation, and runs it again after an outage of the database, so that no event is lost. */
export async function executeAcrossOutages<Result extends object>(
  { database }: Context,
  run: () => Promise<ExecutionResult | Result>,
): Promise<ExecutionResult | Result> {
  try {
    return await retryDuringOutage(database, async () => {
      const result = await run();
      if ('errors' in result && result.errors?.some(isUnexpectedError)) {
        throw new UnexpectedErrors(result);
      }
      return result;
    });
  } catch (error) {
    if (error instanceof UnexpectedErrors) {
      return error.result;
    }
    throw error;
  }
}

function keyOf({ document, operationName, variableValues }: OperationArgs): string {
  const after = resumeVariable(document, operationName);
  const variables = Object.fromEntries(Object.entries(variableValues ?? {}).filter(([name]) => name !== after));
  return JSON.stringify([document.loc?.source.body, operationName, variables]);
}

/**
 * Returns the variable that is used as the `after` argument of the subscription's root field and nowhere else. It selects
 * the start of the subscription and does not affect the result of an event.
 */
function resumeVariable(document: DocumentNode, operationName: string | null | undefined): string | null {
  const operation = getOperationAST(document, operationName);
  const name = operation && afterVariable(operation.selectionSet);
  if (!operation || !name) {
    return null;
  }
  const fragments = document.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION);
  // Two: the definition and the argument.
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
