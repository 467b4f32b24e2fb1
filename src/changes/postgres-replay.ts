import type pg from 'pg';
import type { Images, LogHeader } from './change.ts';
import type { ReadLimits, ReplaySelection } from './log.ts';

/** The columns of a change without its images. */
export const HEADER = '"seq", "at", "model", "rowId", "action", "scope", "otherScope"';

/** A selected change; `found` is the number of selected changes within the limit of rows. */
export interface ReplayRow extends LogHeader, Images {
  readonly found: string;
}

const RANGE = '"seq" > $3 AND "seq" <= $4 ORDER BY "seq" LIMIT $5';

const BY_SCOPE = `(
  SELECT hit."seq" FROM unnest($1::text[], $2::text[]) AS wanted("m", "s") CROSS JOIN LATERAL (
    (SELECT "seq" FROM "Change" WHERE "scope" = wanted."s" AND "model" = wanted."m" AND ${RANGE})
    UNION ALL
    (SELECT "seq" FROM "Change" WHERE "otherScope" = wanted."s" AND "model" = wanted."m" AND ${RANGE})) AS hit)`;

const BY_MODEL = `(
  SELECT hit."seq" FROM unnest($1::text[], $2::text[]) AS wanted("m", "s") CROSS JOIN LATERAL
    (SELECT "seq" FROM "Change" WHERE "model" || '' = wanted."m" AND ${RANGE}) AS hit)`;

/** Returns the query for the first selected changes after `from` up to `until` that fit the limits, or for the first one when none fits. */
export function replayQuery(
  selection: ReplaySelection,
  from: number,
  until: number,
  { rows, bytes }: ReadLimits,
): pg.QueryConfig {
  const scoped = 'models' in selection ? null : selection.scoped;
  const models = 'models' in selection ? selection.models : selection.scoped.map(({ model }) => model);
  return {
    name: scoped ? 'log-replay-scopes' : 'log-replay-models',
    text: `
      WITH page AS (SELECT DISTINCT f."seq" FROM ${scoped ? BY_SCOPE : BY_MODEL} AS f ORDER BY f."seq" LIMIT $5),
      sized AS (
        SELECT c.*, count(*) OVER () AS "found",
          sum(coalesce(octet_length(c."before"), 0) + coalesce(octet_length(c."after"), 0))
            OVER (ORDER BY c."seq" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS "bytesBefore"
        FROM page JOIN "Change" AS c USING ("seq"))
      SELECT ${HEADER}, "before", "after", "found" FROM sized
      WHERE coalesce("bytesBefore", 0) < $6 ORDER BY "seq"`,
    values: [models, scoped?.map(({ scope }) => scope) ?? [], from, until, rows, bytes],
  };
}
