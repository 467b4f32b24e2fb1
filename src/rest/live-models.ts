import { chatLiveModels } from '../chat/live-models.ts';
import { noteLiveModels } from '../notes/live-models.ts';
import { postLiveModels } from '../posts/live-models.ts';
import { todoLiveModels } from '../todos/live-models.ts';
import type { AnyLiveModel } from './live/model.ts';

/** Everything that clients of `/ws/subscribe/` can subscribe to. */
export const LIVE_MODELS: readonly AnyLiveModel[] = [
  ...todoLiveModels,
  ...postLiveModels,
  ...chatLiveModels,
  ...noteLiveModels,
];
