import type pg from 'pg';
import type { MembershipLoad, MembershipRow } from './memberships.ts';

interface MembershipBatch extends Omit<MembershipLoad, 'id'> {
  readonly ids: number[];
}

/** Groups loads of the same kind, so that one statement reads them. */
function batchesOf(loads: readonly MembershipLoad[]): MembershipBatch[] {
  const batches = new Map<string, MembershipBatch>();
  for (const { rule, of, id } of loads) {
    const key = `${rule.prefix} ${of}`;
    const batch = batches.get(key) ?? { rule, of, ids: [] };
    batch.ids.push(id);
    batches.set(key, batch);
  }
  return [...batches.values()];
}

/** Reads the memberships of the loads, with one statement for each kind and source. */
export async function loadMemberships(
  client: Pick<pg.ClientBase, 'query'>,
  loads: readonly MembershipLoad[],
): Promise<MembershipRow[]> {
  const found: MembershipRow[] = [];
  for (const { rule, of, ids } of batchesOf(loads)) {
    for (const { model, group, user } of rule.sources) {
      const { rows } = await client.query<{ group: number; user: number }>(
        `SELECT "${group}" AS "group", "${user}" AS "user" FROM "${model}" WHERE "${of === 'group' ? group : user}" = ANY($1)`,
        [ids],
      );
      found.push(...rows.map((row) => ({ of, prefix: rule.prefix, model, ...row })));
    }
  }
  return found;
}
