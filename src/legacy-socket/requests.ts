import { AppError } from '../errors.ts';
import { isRecord } from '../json.ts';
import { type Frame, type Generation, isScalar, isTrue, quote } from './frames.ts';
import { type AnyLegacyModel, idParameter, parameterOf, type RowFilter } from './model.ts';

/** The models that clients can subscribe to, by name. */
export type LegacyModels = ReadonlyMap<string, AnyLegacyModel>;

export interface Subscribe {
  readonly kind: 'subscribe';
  readonly model: AnyLegacyModel;
  readonly rowFilters: readonly RowFilter[];
  /** The id of the row of a `retrieve` subscription, which has to exist; null for a list of rows. */
  readonly lookup: string | null;
  /** The cursor to resume after; empty to start now with cursors in broadcasts, null to start now without them. */
  readonly after: string | null;
}

/** The request of a frame. */
export type Request = Subscribe | { readonly kind: 'unsubscribe' };

/** Returns the error for unsubscribing with an unknown id. */
export function unknownSubscription(generation: Generation): AppError {
  return new AppError(
    generation === 'first' ? 'BAD_INPUT' : 'NOT_FOUND',
    'Attempted to unsubscribe for request ID before subscribing.',
  );
}

/** Returns the error for a viewer without access to a model; null in the first generation, which has no such error. */
export function denialOf({ model, action }: Frame, generation: Generation): AppError | null {
  return generation === 'first'
    ? null
    : new AppError('FORBIDDEN', `Unauthorized to subscribe to ${quote(model)} for action ${quote(action)}`);
}

/**
 * Returns the request of a frame.
 *
 * @throws {AppError} `BAD_INPUT` or `NOT_FOUND`, with the message for the client
 */
export function readRequest(frame: Frame, generation: Generation, models: LegacyModels): Request {
  return generation === 'first' ? readFirst(frame, models) : readSecond(frame, models);
}

function readFirst(frame: Frame, models: LegacyModels): Request {
  if (isTrue(frame['unsubscribe'])) {
    return { kind: 'unsubscribe' };
  }
  if (frame['model'] == null) {
    throw new AppError('BAD_INPUT', 'No model specified');
  }
  const { value } = frame;
  if (value == null) {
    throw new AppError('BAD_INPUT', 'No value specified in subscription');
  }
  if (!isScalar(value)) {
    throw new AppError('BAD_INPUT', '`value` must be a string, a number or a boolean.');
  }
  const model = modelOf(frame, models);
  const group = frame['group_by'] ?? 'pk';
  const known = group === 'pk' || group === 'id' || (typeof group === 'string' && model.groups.includes(group));
  const parameter = known ? parameterOf(model, group) : null;
  if (!parameter) {
    throw new AppError('BAD_INPUT', `Model ${model.name} cannot be grouped by ${quote(group)}.`);
  }
  return {
    kind: 'subscribe',
    model,
    rowFilters: [
      parameter(value),
      ...rowFiltersOf(model, frame, 'arguments'),
      // The original's documentation says `arguments`, its code read `kwargs`.
      ...rowFiltersOf(model, frame, 'kwargs'),
    ],
    lookup: null,
    after: afterOf(frame),
  };
}

function readSecond(frame: Frame, models: LegacyModels): Request {
  const { type, action } = frame;
  if (type === 'unsubscribe') {
    return { kind: 'unsubscribe' };
  }
  if (type !== 'subscribe') {
    throw new AppError('BAD_INPUT', `unknown message type \`${quote(type)}\`.`);
  }
  if (frame['model'] == null) {
    throw new AppError('BAD_INPUT', 'No model specified.');
  }
  const model = modelOf(frame, models);
  if (action !== 'list' && action !== 'retrieve') {
    throw new AppError('BAD_INPUT', '`action` must be present and the value must be either `list` or `retrieve`.');
  }
  const lookup = action === 'retrieve' ? String(isScalar(frame['lookup_by']) ? frame['lookup_by'] : '') : null;
  return {
    kind: 'subscribe',
    model,
    rowFilters: [
      ...(lookup === null ? [] : [idParameter('id')(lookup)]),
      ...rowFiltersOf(model, frame, 'view_kwargs'),
      ...rowFiltersOf(model, frame, 'query_params'),
    ],
    lookup,
    after: afterOf(frame),
  };
}

function modelOf(frame: Frame, models: LegacyModels): AnyLegacyModel {
  const name = frame['model'];
  const model = typeof name === 'string' ? models.get(name) : undefined;
  if (!model) {
    throw new AppError('NOT_FOUND', `Model ${quote(name)} not registered for realtime updates.`);
  }
  return model;
}

/** Returns the conditions of a frame's parameters. Unknown parameters are ignored, as Django views ignore them. */
function rowFiltersOf(model: AnyLegacyModel, frame: Frame, field: string): RowFilter[] {
  const values = frame[field] ?? {};
  if (!isRecord(values)) {
    throw new AppError('BAD_INPUT', `\`${field}\` must be an object.`);
  }
  return Object.entries(values).flatMap(([name, value]) => {
    const parameter = parameterOf(model, name);
    if (!parameter || value === null) {
      return [];
    }
    if (!isScalar(value)) {
      throw new AppError('BAD_INPUT', `\`${quote(name)}\` must be a string, a number or a boolean.`);
    }
    return parameter(value);
  });
}

function afterOf({ after }: Frame): string | null {
  if (after == null) {
    return null;
  }
  if (typeof after !== 'string') {
    throw new AppError('BAD_CURSOR', 'The cursor is malformed.');
  }
  return after;
}
