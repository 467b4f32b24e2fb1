import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { PARTIAL, removeDatabase, secretOf } from './files.ts';
import { parseTimestamp, timestamp } from './timestamp.ts';

const STAMP = '\\d{8}T\\d{6}Z';

/** The scheduled backups of one database in a folder, as `<name of the database>-20261122T053649Z.db`. Other files in the folder are left alone. */
export class BackupFolder {
  readonly #folder: string;
  readonly #name: string;
  readonly #own: RegExp;

  constructor(folder: string, databasePath: string) {
    this.#folder = folder;
    this.#name = basename(databasePath, extname(databasePath));
    this.#own = new RegExp(`^${escaped(this.#name)}-(${STAMP})\\.db$`);
  }

  /** Returns the path of a backup that is made at this moment. */
  pathAt(moment: Date): string {
    return join(this.#folder, `${this.#name}-${timestamp(moment)}.db`);
  }

  /** Creates the folder if it is missing. */
  create(): void {
    mkdirSync(this.#folder, { recursive: true });
  }

  /** Returns when the last backup was made, in milliseconds since 1970; null when there is none. */
  lastMadeAt(): number | null {
    const last = this.#backups().at(-1);
    return last === undefined ? null : parseTimestamp(this.#own.exec(last)?.[1] ?? '');
  }

  /** Removes all backups but the newest ones; returns their names. */
  rotate(keep: number): string[] {
    const backups = this.#backups();
    const old = backups.slice(0, Math.max(0, backups.length - keep));
    for (const name of old) {
      rmSync(join(this.#folder, name), { force: true });
      rmSync(secretOf(join(this.#folder, name)), { force: true });
    }
    return old;
  }

  /** Removes the unfinished files of backups that were interrupted. Call it while no backup is being made. */
  removePartials(): void {
    for (const name of this.#files()) {
      const [finished = '', rest] = name.split(PARTIAL);
      if (rest !== undefined && this.#own.test(finished.replace(/\.secret$/, ''))) {
        removeDatabase(join(this.#folder, name));
      }
    }
  }

  /** Returns the names of the backups, the oldest first: the moments in them sort as texts. */
  #backups(): string[] {
    return this.#files()
      .filter((name) => this.#own.test(name))
      .sort();
  }

  #files(): string[] {
    return readdirSync(this.#folder, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => name);
  }
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
