import type { StreamEvent } from '../changes/filter.ts';
import { SignalStream } from '../changes/signal-stream.ts';
import type { Context } from '../context.ts';
import { AppError } from '../errors.ts';
import { requireUser } from '../identity/rights.ts';
import { hasSameRole, onRoleChange } from '../identity/role-barrier.ts';
import { accessOfParticipant, findChatId } from './chat-access.ts';
import { chatScope } from './scopes.ts';
import { typingSignals } from './typing.ts';

/**
 * Subscribes to the users who are typing in a chat. The subscription ends as {@link watchSignals} says.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat in which the viewer participates
 */
export function watchTyping(context: Context, uri: string): Promise<SignalStream> {
  return watchSignals(context, uri, (chatId, push) => typingSignals(context).listen(chatId, push));
}

/**
 * Subscribes to signals of a chat that are not in the log; `listen` begins to pass them to `push`, and returns the function that stops it. The subscription ends
 * when the viewer no longer participates, and with `RESYNC_REQUIRED` when the role of the viewer changes, since staff see more fields of the users.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat in which the viewer participates
 */
export async function watchSignals(
  context: Context,
  uri: string,
  listen: (chatId: number, push: (signal: StreamEvent) => void) => Promise<() => void>,
): Promise<SignalStream> {
  const { feed } = context;
  const viewer = requireUser(context.viewer);
  const { chatId, hasAccess, release } = await accessOfParticipant(context, await findChatId(context, uri));
  const stops: (() => void)[] = [];
  let hasEnded = false;
  const stream = new SignalStream(feed.loop, viewer, hasAccess, () => {
    hasEnded = true;
    for (const stop of stops) {
      stop();
    }
  });
  const stopAtEnd = (stop: () => void): void => {
    if (hasEnded) {
      stop();
    } else {
      stops.push(stop);
    }
  };
  stopAtEnd(release);
  try {
    stopAtEnd(feed.onAccess([chatScope(chatId)], () => stream.checkAccess()));
    const endByRole = (): void => stream.fail(new AppError('RESYNC_REQUIRED'));
    stopAtEnd(onRoleChange(feed, viewer, endByRole));
    // The stream may end while `listen` is awaited.
    stopAtEnd(await listen(chatId, (signal) => stream.push(signal)));
    // The role may have changed before its listener was registered, and the access may have ended while `listen` was awaited.
    if (!(await hasSameRole(context.database, viewer))) {
      endByRole();
    }
    stream.checkAccess();
    return stream;
  } catch (error) {
    stream.close();
    throw error;
  }
}
