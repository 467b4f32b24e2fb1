import { OperationError, type Transport } from 'tidings-client';
import { createNetwork } from 'tidings-client/relay';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

type ResultSink = Parameters<Transport['execute']>[1];
const MINUTE_MS = 60_000;
const refusal = (code: string) => new OperationError([{ message: code, extensions: { code } }]);

/** A transport whose operations a test ends, and a subscription over it. */
function subscribe(onResync: () => Promise<string>) {
  const operations: { readonly query: string; readonly sink: ResultSink }[] = [];
  const held = { count: 0 };
  const transport = {
    addPausable: () => () => undefined,
    execute: (request: () => { query: string }, sink: ResultSink) => {
      operations.push({ query: request().query, sink });
      return () => undefined;
    },
    hold: () => {
      held.count += 1;
      return () => {
        held.count -= 1;
      };
    },
    refuseToken: () => true,
  } as unknown as Transport;
  const request = { operationKind: 'subscription', name: 'C', text: 'subscription C($after: String) { c }' };
  const error = vi.fn();
  const { unsubscribe } = createNetwork(transport)
    .execute(request as never, { after: 'first' }, { metadata: { onResync } })
    .subscribe({ error });
  const last = () => operations.at(-1);
  return {
    held,
    error,
    last,
    unsubscribe,
    fail: async (code: string, afterMs = 0) => {
      await vi.advanceTimersByTimeAsync(afterMs);
      last()?.sink.error(refusal(code));
      // The longest delay before another attempt, of the fifth one.
      await vi.advanceTimersByTimeAsync(10_000);
    },
  };
}

describe('a resumed subscription', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('should no longer be catching up once it is stopped during a resync', async () => {
    const of = subscribe(async () => 'second');
    await of.fail('RESYNC_REQUIRED');
    expect(of.last()?.query).toContain('query Position');
    expect(of.held.count).toBe(1);
    of.unsubscribe();
    await vi.advanceTimersByTimeAsync(0);
    expect(of.held.count).toBe(0);
    expect(of.error).not.toHaveBeenCalled();
  });

  it('should go on after a refused token that follows others by a minute, or another error', async () => {
    const of = subscribe(async () => 'second');
    await of.fail('OVERLOADED');
    await of.fail('UNAUTHENTICATED');
    await of.fail('UNAUTHENTICATED', MINUTE_MS);
    expect(of.error).not.toHaveBeenCalled();
    await of.fail('UNAUTHENTICATED');
    expect(of.error).toHaveBeenCalledOnce();
  });

  it('should end when the server fails again and again', async () => {
    const of = subscribe(async () => 'second');
    for (let attempt = 0; attempt < 5; attempt++) {
      await of.fail('INTERNAL');
    }
    expect(of.error).not.toHaveBeenCalled();
    await of.fail('INTERNAL');
    expect(of.error).toHaveBeenCalledOnce();
  });
});
