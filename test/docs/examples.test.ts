import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startApp } from '../kit/app.ts';
import { describeWith } from '../kit/present.ts';
import { type Block, type Page, ROOT, readPages } from './markdown.ts';

const TIMEOUT_MS = 20_000;
/** How the server of the examples is addressed. */
const ADDRESS = /localhost:8000/g;

/** An example: a block that is run, and the block after it that says what it prints. */
interface Example {
  readonly run: Block;
  readonly expected: Block | null;
  /** Whether it prints until it is stopped. */
  readonly isStream: boolean;
}

const isRun = ({ language, text }: Block): boolean =>
  (language === 'sh' && /^(\w+=\$\()?curl /m.test(text) && !text.startsWith('#!')) ||
  (language === 'js' && text.includes('localhost:8000'));
const isOutput = ({ language }: Block): boolean => language === 'json' || language === 'text';

/** The examples of a page. The output of a stream may come after that of the examples that follow the stream. */
function examplesOf({ blocks }: Page): Example[] {
  const used = new Set<Block>();
  return blocks.flatMap((run, index) => {
    if (!isRun(run)) {
      return [];
    }
    const isStream = run.language === 'js' || run.text.includes('curl -N');
    const output = blocks
      .slice(index + 1)
      .find((block) => (isStream ? block.language === 'text' : isOutput(block)) && !used.has(block));
    const isAdjacent = output !== undefined && (isStream || blocks[index + 1] === output);
    if (output && isAdjacent) {
      used.add(output);
    }
    return [{ run, expected: isAdjacent ? output : null, isStream }];
  });
}

/** A pattern for an expected output, in which `…` stands for any text. */
function patternOf({ language, text }: Block): RegExp {
  const plain = language === 'json' ? JSON.stringify(JSON.parse(text)) : text.trim();
  return new RegExp(
    plain
      .split('…')
      .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
      .join('[^\\n]*?'),
  );
}

const normalised = ({ language }: Block, output: string): string =>
  language === 'json' ? JSON.stringify(JSON.parse(output)) : output.trim();

/** A shell that runs the examples of a page one after the other, so that they share their variables. */
class Session {
  readonly #shell = spawn('sh', { cwd: ROOT, stdio: ['pipe', 'pipe', 'ignore'], detached: true });
  readonly #folder = mkdtempSync(join(tmpdir(), 'tidings-docs-'));
  #output = '';
  #count = 0;

  constructor() {
    this.#shell.stdout.on('data', (chunk) => {
      this.#output += chunk;
    });
  }

  /** Runs commands to their end and returns what they print. */
  async run(commands: string): Promise<string> {
    const end = `end of ${++this.#count}`;
    this.#output = '';
    this.#shell.stdin.write(`${commands}\nprintf '\\n${end}\\n'\n`);
    await until(() => this.#output, end);
    return this.#output.slice(0, this.#output.indexOf(`\n${end}`));
  }

  /** Starts a block that prints until it is stopped; returns what reads its output. */
  async start({ language, text }: Block): Promise<() => string> {
    const file = join(this.#folder, String(++this.#count));
    writeFileSync(`${file}.mjs`, text);
    const commands = language === 'js' ? `node --input-type=module <${file}.mjs` : text;
    await this.run(`: >${file}; ( ${commands}\n) >${file} &`);
    return () => readFileSync(file, 'utf8');
  }

  /** Ends the shell and all that it started. */
  stop(): void {
    process.kill(-(this.#shell.pid ?? 0), 'SIGKILL');
    rmSync(this.#folder, { recursive: true });
  }
}

/** Waits until an output contains a text or matches a pattern. */
async function until(output: () => string, expected: string | RegExp): Promise<void> {
  await expect.poll(output, { timeout: TIMEOUT_MS }).toMatch(expected);
}

const PAGES = readPages()
  .map((page) => ({ path: page.path, examples: examplesOf(page) }))
  .filter(({ examples }) => examples.length > 0);

describeWith('curl', 'the examples', () => {
  it.each(PAGES)('of $path should print what the page says', async ({ examples }) => {
    const app = await startApp();
    const session = new Session();
    const streams: { readonly output: () => string; readonly expected: Block }[] = [];
    try {
      for (const { run, expected, isStream } of examples) {
        if (!expected) {
          throw new Error(`The page does not say what this prints:\n${run.text}`);
        }
        const text = run.text.replace(ADDRESS, new URL(app.url).host);
        if (isStream) {
          const output = await session.start({ ...run, text });
          // The first comment of an event stream, or the first frame.
          await until(output, /./);
          streams.push({ output, expected });
        } else {
          expect(normalised(expected, await session.run(text))).toMatch(patternOf(expected));
        }
      }
      for (const { output, expected } of streams) {
        for (const line of expected.text.trim().split('\n')) {
          await until(output, patternOf({ ...expected, text: line }));
        }
      }
    } finally {
      session.stop();
      await app.close();
    }
  });
});
