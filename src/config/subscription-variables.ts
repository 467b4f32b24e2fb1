import { wholeNumber } from './variable.ts';

const DAY_S = 86_400;
const MIB = 1_048_576;
const GIB = 1024 * MIB;

/** The limits of subscriptions and sockets. */
export const SUBSCRIPTION_VARIABLES = {
  STREAM_MAX_EVENTS: wholeNumber(
    1000,
    { min: 1, max: 1_000_000 },
    'the events that are buffered for one subscription; further ones remain in the log',
  ),
  STREAM_MAX_BYTES: wholeNumber(
    MIB,
    { min: 1024, max: GIB, unit: 'bytes' },
    'the size of the events that are buffered for one subscription; further ones remain in the log',
  ),
  DELIVERY_MAX_BYTES: wholeNumber(
    64 * MIB,
    { min: MIB, max: 64 * GIB, unit: 'bytes' },
    'the size of the events that a process buffers; beyond it the largest subscriptions are served from the log',
  ),
  READY_MAX_LAG_S: wholeNumber(
    60,
    { min: 1, max: DAY_S, unit: 's' },
    'how long subscribers may wait for committed changes before `/ready` answers 503',
  ),
  SOCKET_MAX_SUBSCRIPTIONS: wholeNumber(100, { min: 1, max: 100_000 }, 'the subscriptions of one socket'),
  USER_MAX_SOCKETS: wholeNumber(50, { min: 1, max: 100_000 }, 'the sockets and event streams of one user'),
  ADDRESS_MAX_SOCKETS: wholeNumber(
    2000,
    { min: 1, max: 1_000_000 },
    'the sockets and event streams of one IP address that a process keeps open; further ones are answered 503 with `Retry-After`',
  ),
  MAX_SOCKETS: wholeNumber(
    20_000,
    { min: 1, max: 10_000_000 },
    'the sockets and event streams that a process keeps open; further ones are answered 503 with `Retry-After`',
  ),
  ADDRESS_MAX_SUBSCRIPTIONS: wholeNumber(
    5000,
    { min: 1, max: 10_000_000 },
    'the subscriptions of one IP address to a process; further ones end with `RATE_LIMITED`',
  ),
  MAX_SUBSCRIPTIONS: wholeNumber(
    100_000,
    { min: 1, max: 100_000_000 },
    'the subscriptions to a process; further ones end with `OVERLOADED`',
  ),
  SOCKET_MESSAGE_LIMIT_BYTES: wholeNumber(
    131_072,
    { min: 1024, max: 100 * MIB, unit: 'bytes' },
    'the size of a message of a client; a larger one closes the socket with 1009',
  ),
  SOCKET_INIT_TIMEOUT_MS: wholeNumber(
    10_000,
    { min: 100, max: 600_000, unit: 'ms' },
    'how long a WebSocket may take to send `connection_init`; then it is closed with 4408',
  ),
  KEEP_ALIVE_MS: wholeNumber(
    12_000,
    { min: 100, max: 3_600_000, unit: 'ms' },
    'the interval of pings; a peer that does not respond until the next ping is disconnected',
  ),
};
