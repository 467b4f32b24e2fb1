// Preloaded into a node with `--import`: on SIGUSR2, its Date moves by the milliseconds that the file SOAK_CLOCK contains. Timers and performance.now() go on.
import { readFileSync } from 'node:fs';

const RealDate = Date;
let shiftMs = 0;

globalThis.Date = class extends RealDate {
  constructor(...parts) {
    if (parts.length === 0) {
      super(RealDate.now() + shiftMs);
    } else {
      super(...parts);
    }
  }

  static now() {
    return RealDate.now() + shiftMs;
  }
};

process.on('SIGUSR2', () => {
  shiftMs = Number(readFileSync(process.env.SOAK_CLOCK, 'utf8'));
});
