import type { InputFieldMap } from '@pothos/core';
import type { ListFilter } from '../database/list-filters.ts';
import type { Builder, SchemaTypes } from './builder.ts';
import { toDatabaseId, withDatabaseIds } from './node-ids.ts';

type InputFieldBuilder = PothosSchemaTypes.InputFieldBuilder<
  PothosSchemaTypes.ExtendDefaultTypes<SchemaTypes>,
  'InputObject'
>;

/**
 * Adds the input type of the filter of a list of `model`: the fields that `fieldsOf` defines, `ids` and `or`. `objects` is the word for several objects of the
 * model, as it is used in descriptions.
 */
export function defineFilter<Filter extends ListFilter<Filter>>(
  builder: Builder,
  model: string,
  objects: string,
  fieldsOf: (t: InputFieldBuilder) => InputFieldMap,
) {
  const filter = builder.inputRef<Filter>(`${model}Filter`);
  return filter.implement({
    description: `Conditions on a list of ${objects}, all of which have to be met; a condition that is left out or null does not apply.`,
    fields: (t) =>
      ({
        ...fieldsOf(t),
        ids: t.idList({
          description: `Only ${objects} with one of these \`id\`s, at most 100; none when the list is empty.`,
        }),
        or: t.field({
          type: [filter],
          description: `Only ${objects} that meet at least one of these filters, besides the other conditions; none when the list is empty. At most 20 filters, those within them included; each counts as a filter of its own in the limit of searches.`,
        }),
      }) as never,
  });
}

/** Returns a filter with the numbers of objects in place of ids: `ids` are those of `typename` objects, `fields` the types of the objects that other fields identify. */
export function toListFilter<Filter extends ListFilter<Filter>>(
  filter: Filter | null | undefined,
  typename: string,
  fields: { readonly [Field in keyof Filter]?: string } = {},
): Filter | null | undefined {
  return (
    filter && {
      ...withDatabaseIds(filter, fields),
      ...(filter.ids && { ids: filter.ids.map((id) => toDatabaseId(typename, id)) }),
      ...(filter.or && { or: filter.or.map((part) => toListFilter(part, typename, fields)) }),
    }
  );
}

/** Returns the fields of the bounds of a time: `<name>From` and `<name>Before`. `clause` says of the objects what happened at that time, like `todos created`. */
export function timeRangeFields(t: InputFieldBuilder, name: string, clause: string): InputFieldMap {
  return {
    [`${name}From`]: t.field({ type: 'DateTime', description: `Only ${clause} at this time or later.` }),
    [`${name}Before`]: t.field({ type: 'DateTime', description: `Only ${clause} before this time.` }),
  };
}
