import type { Telemetry } from '../telemetry.ts';

/** Runs a statement, and reports how long it took. */
export async function measured<Result>(telemetry: Telemetry, sql: string, run: () => Promise<Result>): Promise<Result> {
  const startedAt = performance.now();
  let isFailed = true;
  try {
    const result = await run();
    isFailed = false;
    return result;
  } finally {
    telemetry.report({ kind: 'statement', sql, startedAt, isFailed });
  }
}

/** Runs a statement of a synchronous driver, and reports how long it took. */
export function measuredNow<Result>(telemetry: Telemetry, sql: string, run: () => Result): Result {
  const startedAt = performance.now();
  let isFailed = true;
  try {
    const result = run();
    isFailed = false;
    return result;
  } finally {
    telemetry.report({ kind: 'statement', sql, startedAt, isFailed });
  }
}
