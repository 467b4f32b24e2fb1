import { getDatamodel } from '../generated/pothos.ts';

/** How a column's value is told from its image in the log. */
type ColumnKind = 'Int' | 'String' | 'Boolean' | 'DateTime';

export interface LoggedModel {
  readonly name: string;
  readonly columns: ReadonlyMap<string, ColumnKind>;
  /** Which changes are logged; an update only when one of `columns` is written, where that is asked for. */
  readonly actions: readonly ChangeAction[];
  readonly onlyLoggedColumns: boolean;
  /** What makes the row the one it is: an update of one of these counts as a deletion and an insertion. */
  readonly identity: readonly string[];
}

export type ChangeAction = 'INSERT' | 'UPDATE' | 'DELETE';

const EVERY_ACTION: readonly ChangeAction[] = ['INSERT', 'UPDATE', 'DELETE'];

/** Models whose rows are logged whole. */
const WHOLE = ['TodoList', 'Todo', 'Post', 'ChatSession', 'ChatMember', 'ChatMessage', 'Note'];

/**
 * What else the log has to know, so that rights end on open sockets: the standing of users, and which credentials are gone. Never
 * a name, an address, a hash or anything that opens a door.
 */
const PARTS: Readonly<Record<string, { columns: readonly string[]; actions: readonly ChangeAction[] }>> = {
  User: { columns: ['id', 'isActive', 'isStaff', 'credentialsChangedAt'], actions: ['UPDATE', 'DELETE'] },
  AuthToken: { columns: ['id', 'userId'], actions: ['DELETE'] },
  Session: { columns: ['id', 'userId'], actions: ['DELETE'] },
};

const IDENTITIES: Readonly<Record<string, readonly string[]>> = { ChatMember: ['id', 'chatSessionId', 'userId'] };

/** Models whose changes decide who may see something, or whether a credential is good. */
export const RIGHTS_MODELS: readonly string[] = ['ChatSession', 'ChatMember', ...Object.keys(PARTS)];

interface DatamodelField {
  readonly name: string;
  readonly kind: string;
  readonly type: string;
}

/** The models that the log captures, with their columns, out of the data model: so triggers and columns can't drift apart. */
export function loggedModels(): ReadonlyMap<string, LoggedModel> {
  const { models } = getDatamodel().datamodel as { models: Record<string, { fields: readonly DatamodelField[] }> };
  const logged = new Map<string, LoggedModel>();
  for (const name of [...WHOLE, ...Object.keys(PARTS)]) {
    const part = PARTS[name];
    const columns = new Map<string, ColumnKind>();
    for (const field of models[name]?.fields ?? []) {
      if (field.kind === 'scalar' && (!part || part.columns.includes(field.name))) {
        columns.set(field.name, field.type as ColumnKind);
      }
    }
    logged.set(name, {
      name,
      columns,
      actions: part?.actions ?? EVERY_ACTION,
      onlyLoggedColumns: part !== undefined,
      identity: IDENTITIES[name] ?? ['id'],
    });
  }
  return logged;
}

/** A row as the log keeps it, with the values that its model gives them. */
export type RowImage = Readonly<Record<string, unknown>> & { readonly id: number };

/** Reads the image of a row. */
export function readImage(model: LoggedModel, json: string): RowImage {
  const raw = JSON.parse(json) as Record<string, unknown>;
  const image: Record<string, unknown> = {};
  for (const [column, kind] of model.columns) {
    const value = raw[column] ?? null;
    if (value !== null && kind === 'Boolean') {
      image[column] = Boolean(value);
    } else if (value !== null && kind === 'DateTime') {
      image[column] = new Date(value as string | number);
    } else {
      image[column] = value;
    }
  }
  return image as RowImage;
}
