import { type DestinationStream, type Logger, pino } from 'pino';
import type { Config } from '../config/config.ts';

/** How many bytes of lines are written at once, and how long a line waits for others, in milliseconds: a write to a pipe costs more than the line. */
const BUFFER_BYTES = 4096;
const MAX_WAIT_MS = 100;
/** The file descriptor of standard output. */
const STANDARD_OUTPUT = 1;

export interface LogOutput {
  readonly logger: Logger;
  /** The logger of the start and the stop, which are logged at every level but `silent`. */
  readonly lifecycle: Logger;
  /** Writes the lines that wait. Call it when the process exits. */
  readonly flush: () => void;
}

/** Creates the logger of a process, which writes to standard output; `isTerminal` decides the format when the configuration does not. */
export async function createLogger({ level, format }: Config['log'], isTerminal: boolean): Promise<LogOutput> {
  const options = {
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    // The name of the level, which people and alerts know, instead of pino's number.
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (format === 'pretty' || (format === null && isTerminal)) {
    const { default: pretty } = await import('pino-pretty');
    const stream = pretty({
      colorize: isTerminal,
      ignore: 'pid,hostname',
      translateTime: 'SYS:HH:MM:ss.l',
      sync: true,
    });
    return { ...loggersOf(pino(options, stream as DestinationStream)), flush: () => undefined };
  }
  const destination = pino.destination({ dest: STANDARD_OUTPUT, sync: false, minLength: BUFFER_BYTES });
  const timer = setInterval(() => destination.flush(), MAX_WAIT_MS);
  timer.unref();
  return { ...loggersOf(pino(options, destination)), flush: () => destination.flushSync() };
}

function loggersOf(logger: Logger): Pick<LogOutput, 'logger' | 'lifecycle'> {
  return { logger, lifecycle: logger.level === 'silent' ? logger : logger.child({}, { level: 'info' }) };
}
