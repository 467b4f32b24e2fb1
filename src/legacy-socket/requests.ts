import { AppError } from '../errors.ts';
import { type Frame, isRecord, isScalar, isTrue, quote, type Style } from './frames.ts';
import { type AnyLegacyModel, byId, type Narrowing, parameterOf } from './model.ts';

/** The models that can be subscribed to, by their names. */
export type LegacyModels = ReadonlyMap<string, AnyLegacyModel>;

export interface Subscribe {
  readonly kind: 'subscribe';
  readonly model: AnyLegacyModel;
  readonly narrowings: readonly Narrowing[];
  /** The one row that it is about, which has to exist; null for all that fit. */
  readonly lookup: string | null;
  /** The cursor to go on from; empty to begin now with cursors, null to begin now without. */
  readonly after: string | null;
}

/** What a client asks for. */
export type Request = Subscribe | { readonly kind: 'unsubscribe' };

/** The error of an unsubscription that ends nothing. */
export function unknownSubscription(style: Style): AppError {
  return new AppError(
    style === 'first' ? 'BAD_INPUT' : 'NOT_FOUND',
    'Attempted to unsubscribe for request ID before subscribing.',
  );
}

/** The error for a viewer who has no right to what a frame asks for; null in the first generation, which just sent nothing. */
export function denialOf({ model, action }: Frame, style: Style): AppError | null {
  return style === 'first'
    ? null
    : new AppError('FORBIDDEN', `Unauthorized to subscribe to ${quote(model)} for action ${quote(action)}`);
}

/**
 * Reads what a frame asks for.
 *
 * @throws {AppError} `BAD_INPUT` or `NOT_FOUND`, with the sentence for the client
 */
export function readRequest(frame: Frame, style: Style, models: LegacyModels): Request {
  return style === 'first' ? readFirst(frame, models) : readSecond(frame, models);
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
    narrowings: [
      parameter(value),
      ...narrowingsOf(model, frame, 'arguments'),
      // What the documents call `arguments` the original read under this name.
      ...narrowingsOf(model, frame, 'kwargs'),
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
    narrowings: [
      ...(lookup === null ? [] : [byId('id')(lookup)]),
      ...narrowingsOf(model, frame, 'view_kwargs'),
      ...narrowingsOf(model, frame, 'query_params'),
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

/** What a frame's parameters narrow to; the ones that mean nothing to the model are passed over, as a view passes over them. */
function narrowingsOf(model: AnyLegacyModel, frame: Frame, field: string): Narrowing[] {
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
