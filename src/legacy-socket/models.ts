import { chatLegacyModels } from '../chat/legacy-socket.ts';
import { noteLegacyModels } from '../notes/legacy-socket.ts';
import { postLegacyModels } from '../posts/legacy-socket.ts';
import { todoLegacyModels } from '../todos/legacy-socket.ts';
import type { AnyLegacyModel } from './model.ts';

/** Everything that clients of `/ws/subscribe/` can subscribe to. */
export const LEGACY_MODELS: readonly AnyLegacyModel[] = [
  ...todoLegacyModels,
  ...postLegacyModels,
  ...chatLegacyModels,
  ...noteLegacyModels,
];
