/** Settles as the promise does, or rejects as soon as the signal is aborted. */
export async function unlessAborted<Value>(value: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let onAbort = (): void => undefined;
  const abortion = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort);
  });
  try {
    signal.throwIfAborted();
    return await Promise.race([value, abortion]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
