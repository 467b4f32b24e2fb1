import { createHash } from 'node:crypto';
import type { Level, Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { HEALTH_PATHS } from '../host/health-paths.ts';
import type { ConnectionRecord, RequestRecord, TelemetryEvent, TelemetryListener } from '../telemetry.ts';

/** How many lines of refusals are written in a second: an attack must not fill the disk. */
const MAX_REFUSALS_PER_S = 100;
const FIRST_ERROR_STATUS = 400;
const FIRST_SERVER_ERROR_STATUS = 500;

type Fields = Record<string, unknown>;

/** The fields and the name of the event of a line. */
interface Line {
  readonly level: Level;
  readonly message: string;
  readonly fields: Fields;
  /** Whether sampling may leave it out. */
  readonly isSampled: boolean;
}

/**
 * Returns the listener that writes a line to the log for each request, operation of a WebSocket, sign-in, refusal, and opened and closed connection. A line
 * has ids, names, codes and sizes, and never a credential or the value of a variable.
 */
export function logEvents(logger: Logger, { sampleRate, slowMs }: Config['log']): TelemetryListener {
  const refusals = new LineLimiter(MAX_REFUSALS_PER_S);
  return (event) => {
    const line = lineOf(event, slowMs);
    if (!line || (line.isSampled && sampleRate < 1 && Math.random() >= sampleRate)) {
      return;
    }
    const { level, message, fields } = line;
    if (event.kind !== 'refused') {
      logger[level](line.isSampled && sampleRate < 1 ? { ...fields, sampleRate } : fields, message);
      return;
    }
    const suppressed = refusals.next();
    if (suppressed !== null) {
      logger[level](suppressed > 0 ? { ...fields, suppressed } : fields, message);
    }
  };
}

function lineOf(event: TelemetryEvent, slowMs: number): Line | null {
  switch (event.kind) {
    case 'responded':
      return lineOfResponse(event, slowMs);
    case 'operationEnded':
      // Of an operation over HTTP, the line of its response says everything.
      return event.record.transport === 'HTTP' ? null : lineOfOperation(event.record, slowMs);
    case 'connected':
      return {
        level: 'info',
        message: 'connection opened',
        fields: connectionFields(event.connection),
        isSampled: true,
      };
    case 'disconnected': {
      const { connection, code, reason } = event;
      const fields = {
        ...connectionFields(connection),
        ...(code !== null && { code }),
        ...(reason !== '' && { reason }),
        ms: elapsedMs(connection.startedAt),
      };
      return { level: 'info', message: 'connection closed', fields, isSampled: true };
    }
    case 'signIn': {
      const { outcome, userId, address, requestId: reqId } = event;
      const fields = { reqId, address, ...(userId !== null && { userId }) };
      return {
        level: outcome === 'accepted' ? 'info' : 'warn',
        message: `sign-in ${outcome}`,
        fields,
        isSampled: false,
      };
    }
    case 'refused': {
      const { reason, detail, address, requestId: reqId } = event;
      return { level: 'warn', message: 'refused', fields: { reqId, address, reason, detail }, isSampled: false };
    }
    default:
      return null;
  }
}

function lineOfResponse(
  { record, method, route, status, bytes }: Extract<TelemetryEvent, { kind: 'responded' }>,
  slowMs: number,
): Line {
  const ms = elapsedMs(record.startedAt);
  const isSlow = ms >= slowMs;
  const isGood = status < FIRST_ERROR_STATUS && record.codes.length === 0;
  const fields = { ...recordFields(record, isSlow), method, route, status, ms, bytes };
  if (HEALTH_PATHS.has(route) && isGood) {
    return { level: 'debug', message: 'request', fields, isSampled: true };
  }
  // What failed unexpectedly is logged as an error of its own, with the same id.
  const isFailed = status >= FIRST_SERVER_ERROR_STATUS || record.codes.includes('INTERNAL');
  const level = isFailed || isSlow ? 'warn' : 'info';
  return { level, message: isSlow ? 'slow request' : 'request', fields, isSampled: isGood && !isSlow };
}

function lineOfOperation(record: RequestRecord, slowMs: number): Line {
  const ms = elapsedMs(record.startedAt);
  // A subscription may take as long as it likes.
  const isSlow = ms >= slowMs && record.operation?.type !== 'subscription';
  const fields = { ...recordFields(record, isSlow), connectionId: record.connectionId, ms, bytes: record.bytes };
  return {
    level: record.codes.includes('INTERNAL') || isSlow ? 'warn' : 'info',
    message: isSlow ? 'slow operation' : 'operation',
    fields,
    isSampled: record.codes.length === 0 && !isSlow,
  };
}

function recordFields(record: RequestRecord, isSlow: boolean): Fields {
  const { id, traceId, transport, address, userId, operation, codes, events } = record;
  return {
    reqId: id,
    ...(traceId !== null && { traceId }),
    transport,
    address,
    ...(userId !== null && { userId }),
    ...(operation && { operation: operation.name, operationType: operation.type }),
    ...(operation?.type === 'subscription' && { events }),
    ...(isSlow && operation?.text !== undefined && { documentHash: hashOf(operation.text) }),
    ...(codes.length > 0 && { codes }),
  };
}

function connectionFields({ id, protocol, address, userId }: ConnectionRecord): Fields {
  return { connectionId: id, protocol, address, ...(userId !== null && { userId }) };
}

/** Returns the hash of a document by which automatic persisted queries name it. */
function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function elapsedMs(startedAt: number): number {
  return Math.round((performance.now() - startedAt) * 10) / 10;
}

/** Limits the lines of one kind in each second. */
class LineLimiter {
  readonly #maxPerS: number;
  #secondEndsAt = 0;
  #written = 0;
  #suppressed = 0;

  constructor(maxPerS: number) {
    this.#maxPerS = maxPerS;
  }

  /** Returns how many lines were left out since the last one that was written, or null when this one is to be left out too. */
  next(): number | null {
    const now = performance.now();
    if (now >= this.#secondEndsAt) {
      this.#secondEndsAt = now + 1000;
      this.#written = 0;
    }
    if (this.#written >= this.#maxPerS) {
      this.#suppressed += 1;
      return null;
    }
    this.#written += 1;
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    return suppressed;
  }
}
