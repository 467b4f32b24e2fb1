import { VARIABLES } from './environment.ts';
import { FILE_SUFFIX, fileVariables } from './sources.ts';

/** A variable of the environment that is not a setting, and the setting that it was probably meant to be. */
export interface MisspelledVariable {
  readonly name: string;
  readonly meant: string;
}

const PREFIX = 'TIDINGS_';
/** Kubernetes and Docker set such variables for a service with the name `tidings`. */
const SERVICE_LINK = /^(tcp|udp|sctp):\/\//;
/** Names up to this length differ from too many words by one letter: `PORT` from `SORT`, `HOST` from `POST`. */
const SHORT_LENGTH = 5;
/** From this length on, a name may have two mistakes. */
const LONG_LENGTH = 16;

/**
 * Returns the variables of an environment that are probably misspelled settings, which have no effect: those with the prefix `TIDINGS_`, in other letter case, with
 * other underscores, or with a mistake in a letter. Empty variables have no effect either way, so they are not reported.
 */
export function misspelledVariables(env: Readonly<Record<string, string | undefined>>): MisspelledVariable[] {
  const known = new Set([...VARIABLES.keys(), ...fileVariables().map((name) => `${name}${FILE_SUFFIX}`)]);
  return Object.entries(env).flatMap(([name, value]) => {
    if (!value || known.has(name) || SERVICE_LINK.test(value)) {
      return [];
    }
    const meant = meantBy(name.toUpperCase(), known);
    return meant === null ? [] : [{ name, meant }];
  });
}

/** Returns the known name that another name was probably meant to be; null when there is none. */
function meantBy(name: string, known: ReadonlySet<string>): string | null {
  const spellings = name.startsWith(PREFIX) ? [name, name.slice(PREFIX.length)] : [name];
  const meant = nearest(spellings, known);
  if (meant !== null || !name.endsWith(FILE_SUFFIX)) {
    return meant;
  }
  // Only secrets are read from files.
  return nearest(spellings.map((spelling) => spelling.slice(0, -FILE_SUFFIX.length)).filter(isLong), known);
}

function nearest(spellings: readonly string[], known: ReadonlySet<string>): string | null {
  let best: { readonly name: string; readonly distance: number } | null = null;
  for (const candidate of known) {
    for (const spelling of spellings) {
      const distance = distanceWithin(spelling, candidate);
      if (distance !== null && (best === null || distance < best.distance)) {
        best = { name: candidate, distance };
      }
    }
  }
  return best?.name ?? null;
}

function isLong(name: string): boolean {
  return name.length > SHORT_LENGTH;
}

/** Returns the number of mistakes by which a name differs from a known one; null when they are more than likely for that length. */
function distanceWithin(name: string, known: string): number | null {
  if (name === known || name.replaceAll('_', '') === known.replaceAll('_', '')) {
    return 0;
  }
  const allowed = known.length >= LONG_LENGTH ? 2 : 1;
  if (Math.abs(name.length - known.length) > allowed) {
    return null;
  }
  const distance = editDistance(name, known);
  if (isLong(known)) {
    return distance <= allowed ? distance : null;
  }
  // In a short name, only a missing or additional letter after the first one, or two that are exchanged.
  const isMisspelling = name.length === known.length ? sorted(name) === sorted(known) : name[0] === known[0];
  return distance === 1 && isMisspelling ? distance : null;
}

function sorted(name: string): string {
  return [...name].sort().join('');
}

/** Returns how many letters have to be inserted, removed, replaced or exchanged with their neighbour (optimal string alignment). */
function editDistance(left: string, right: string): number {
  const rows = Array.from({ length: left.length + 1 }, (_, row) => [row]);
  const at = (row: number, column: number): number => rows[row]?.[column] ?? column;
  for (let row = 0; row <= left.length; row += 1) {
    for (let column = 1; column <= right.length; column += 1) {
      if (row === 0) {
        rows[0]?.push(column);
        continue;
      }
      const isSame = left[row - 1] === right[column - 1];
      const isSwap =
        row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      const edits = [at(row - 1, column) + 1, at(row, column - 1) + 1, at(row - 1, column - 1) + (isSame ? 0 : 1)];
      rows[row]?.push(Math.min(...edits, isSwap ? at(row - 2, column - 2) + 1 : (edits[0] ?? 0)));
    }
  }
  return at(left.length, right.length);
}
