import type { SignalStream } from '../changes/signal-stream.ts';
import type { Context } from '../context.ts';
import { presenceOf } from './presence.ts';
import { watchSignals } from './watch-typing.ts';

/**
 * Subscribes to the participants of a chat who are online. The subscription ends as {@link watchSignals} says.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat in which the viewer participates
 */
export function watchPresence(context: Context, uri: string): Promise<SignalStream> {
  return watchSignals(context, uri, (chatId, push) => presenceOf(context).rooms.listen(chatId, push));
}
