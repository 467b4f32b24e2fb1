import { type ColumnKind, columnsOf, modelNames } from '../database/columns.ts';
import type { ScopeRule } from './scopes.ts';

export type ChangeAction = 'INSERT' | 'UPDATE' | 'DELETE';

/** Declares how the changes of a model are logged; the slice that owns the model declares it. */
export interface LogRule {
  /** The scope of its rows. */
  readonly scope: ScopeRule;
  /** A second scope whose subscribers receive the changes, like that of the user of a membership. */
  readonly otherScope?: ScopeRule;
  /** The columns that are logged; all of them when left out. An update is logged only when it changes one of these or of `alsoUpdatedBy`. */
  readonly columns?: readonly string[];
  /** Columns that are not part of the images, but whose updates are logged. */
  readonly alsoUpdatedBy?: readonly string[];
  /** The kinds of changes that are logged; all three when left out. */
  readonly actions?: readonly ChangeAction[];
  /** The columns that identify a row, `id` when left out: an update of one of them is logged as a deletion and an insertion. */
  readonly identity?: readonly string[];
  /** Columns that no filter and no policy reads. The image of a row before its change leaves them out. */
  readonly unfiltered?: readonly string[];
  /** Whether its changes are access changes: they decide who may see rows, or whether a credential is valid, and are applied as soon as they are committed. */
  readonly decidesAccess?: boolean;
}

/** A model whose changes are logged. */
export interface LoggedModel {
  readonly name: string;
  readonly columns: ReadonlyMap<string, ColumnKind>;
  /** The columns of the image before a change. */
  readonly columnsBefore: readonly string[];
  readonly actions: readonly ChangeAction[];
  /** The columns whose updates are logged; null when every update is. */
  readonly updatedBy: readonly string[] | null;
  readonly identity: readonly string[];
  readonly scope: ScopeRule;
  readonly otherScope: ScopeRule | null;
  readonly decidesAccess: boolean;
}

export type LoggedModels = ReadonlyMap<string, LoggedModel>;

const EVERY_ACTION: readonly ChangeAction[] = ['INSERT', 'UPDATE', 'DELETE'];

/**
 * Returns the models that are logged, with their columns from the data model, so that triggers and columns cannot drift apart. They are in the order of the
 * data model: the triggers and the index of access changes are installed anew whenever their text changes, which an order of slices must not cause.
 */
export function loggedModels(rules: Readonly<Record<string, LogRule | null>>): LoggedModels {
  return new Map(
    modelNames().flatMap((name) => {
      const rule = rules[name];
      if (!rule) {
        return [];
      }
      const columns = [...columnsOf(name)].filter(([column]) => !rule.columns || rule.columns.includes(column));
      const model: LoggedModel = {
        name,
        columns: new Map(columns),
        columnsBefore: columns.map(([column]) => column).filter((column) => !rule.unfiltered?.includes(column)),
        actions: rule.actions ?? EVERY_ACTION,
        updatedBy: rule.columns ? [...rule.columns, ...(rule.alsoUpdatedBy ?? [])] : null,
        identity: rule.identity ?? ['id'],
        scope: rule.scope,
        otherScope: rule.otherScope ?? null,
        decidesAccess: rule.decidesAccess ?? false,
      };
      return [[name, model]];
    }),
  );
}

/** Returns the names of the models whose changes are access changes. */
export function accessModels(models: LoggedModels): string[] {
  return [...models.values()].filter(({ decidesAccess }) => decidesAccess).map(({ name }) => name);
}
