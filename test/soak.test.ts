import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { describeWith } from './kit/present.ts';

const SOAK = fileURLToPath(new URL('../bench/soak.js', import.meta.url));
/** Of load: long enough for each fault once. Starting, settling and stopping the cluster comes on top. */
const SECONDS = 25;
const TIMEOUT_MS = 150_000;

/** Runs the soak, and returns its exit code and report. A test that is interrupted stops it, and it then stops its cluster. */
async function soak(nginx: string): Promise<{ code: number | null; report: string }> {
  const child = spawn(process.execPath, [SOAK, '--seconds', String(SECONDS), '--nginx', nginx], { stdio: 'pipe' });
  const stop = (): void => {
    child.kill('SIGTERM');
  };
  process.once('exit', stop);
  let report = '';
  for (const output of [child.stdout, child.stderr]) {
    output.on('data', (chunk) => {
      report += chunk;
    });
  }
  const [code] = await once(child, 'close');
  process.off('exit', stop);
  return { code: code as number | null, report };
}

describeWith('postgres', 'two nodes whose parts fail one after the other', () => {
  describeWith('nginx', 'behind nginx', (nginx) => {
    it('should lose and leak nothing, and recover from each fault', { timeout: TIMEOUT_MS }, async () => {
      const { code, report } = await soak(nginx);
      // The report has the seed and all findings.
      expect(code, report).toBe(0);
      for (const fault of [
        'killed',
        'stopped',
        'clients dropped',
        'database stalled',
        'database crash',
        'clock moved',
      ]) {
        expect(report).toContain(`'${fault}'`);
      }
    });
  });
});
