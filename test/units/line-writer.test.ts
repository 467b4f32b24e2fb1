import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, expect, it, vi } from 'vitest';
import { LineWriter } from '../../src/operations/line-writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'tidings-lines-'));
afterAll(() => rmSync(folder, { recursive: true }));

let count = 0;

it('should write every line whole and in order, whenever it is flushed', async () => {
  const line = fc.integer({ min: 0, max: 6000 });
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 40 }), fc.boolean(), async (lengths, isEnding) => {
      const path = join(folder, String(count++));
      const fd = openSync(path, 'w');
      const lines = lengths.map((length, index) => `${index} ${'é'.repeat(length)}\n`);
      const writer = new LineWriter(fd);
      for (const each of lines) {
        writer.write(each);
      }
      if (isEnding) {
        writer.flushSync();
      }
      const written = () => readFileSync(path, 'utf8');
      await vi.waitFor(
        // At an end, a write that is in progress is repeated.
        () =>
          expect(isEnding ? [...new Set(written().match(/.*\n/g))].sort() : written()).toEqual(
            isEnding ? lines.sort() : lines.join(''),
          ),
        { interval: 5 },
      );
      // The write in progress uses the file.
      await pause(isEnding ? 20 : 0);
      closeSync(fd);
    }),
    { numRuns: 40 },
  );
});
