import { type DestinationStream, type Logger, pino } from 'pino';
import type { Config } from '../config/config.ts';
import { LineWriter } from './line-writer.ts';

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
    // Without further properties: those of PostgreSQL's errors contain values.
    serializers: { err: describeError },
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
  const writer = new LineWriter(STANDARD_OUTPUT);
  return { ...loggersOf(pino(options, writer)), flush: () => writer.flushSync() };
}

function loggersOf(logger: Logger): Pick<LogOutput, 'logger' | 'lifecycle'> {
  return { logger, lifecycle: logger.level === 'silent' ? logger : logger.child({}, { level: 'info' }) };
}

/** Returns an error as it is logged, with its causes. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) {
    return error;
  }
  const { name, message, stack, cause } = error;
  const code = 'code' in error ? { code: error.code } : {};
  return { type: name, message, stack, ...code, ...(cause !== undefined && { cause: describeError(cause) }) };
}
