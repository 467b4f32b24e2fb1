import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A fenced block of a page. */
export interface Block {
  readonly language: string;
  readonly text: string;
}

/** A page of the documentation. */
export interface Page {
  /** The path from the root, like `docs/live.md`. */
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly Block[];
}

/** Reads one page; the path is from the root. */
export function readPage(path: string): Page {
  const text = readFileSync(`${ROOT}${path}`, 'utf8');
  return { path, text, blocks: blocksOf(text) };
}

/** Reads all pages: those of the root, of `docs/` and of `bench/`. */
export function readPages(): Page[] {
  return ['', 'docs/', 'bench/'].flatMap((folder) =>
    readdirSync(`${ROOT}${folder}`)
      .filter((name) => name.endsWith('.md'))
      .map((name) => readPage(`${folder}${name}`)),
  );
}

/** The fenced blocks of a text, also those that are indented inside a list. */
export function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^( *)```(\w+)\n(.*?)^\1```$/gms)].map(([, indent = '', language = '', body = '']) => ({
    language,
    text: body.replace(new RegExp(`^${indent}`, 'gm'), ''),
  }));
}

/** The commands of a shell block, one a line, without comments. */
export function commandsOf({ text }: Block): string[] {
  return text
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter(Boolean);
}

/** The anchors of a page's headings, as GitHub makes them. */
export function anchorsOf(text: string): string[] {
  return [...text.replace(/```.*?```/gs, '').matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** Whether a path from the root exists. */
export function isFile(path: string): boolean {
  return existsSync(`${ROOT}${path}`);
}
