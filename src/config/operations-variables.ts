import { z } from 'zod';
import { defaulted, oneOf, optional, wholeNumber } from './variable.ts';

const HOUR_MS = 3_600_000;

/** The variables of the log and of traces. */
export const OPERATIONS_VARIABLES = {
  LOG_LEVEL: oneOf(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    'info',
    'the least severe level of the lines on standard output',
  ),
  LOG_FORMAT: optional(z.enum(['json', 'pretty'], { error: 'must be json or pretty' }), {
    absence: '`pretty` on a terminal, `json` elsewhere',
    meaning: 'the format of the [log](operating.md#logs): a JSON object a line, or lines for people',
    values: '`json`, `pretty`',
  }),
  LOG_SAMPLE_RATE: defaulted(
    z
      .string()
      .regex(/^(\d{1,9}|\d{0,9}\.\d{1,6})$/, { error: 'must be a number, like 0.1' })
      .transform(Number)
      .refine((value) => value <= 1, { error: 'must be between 0 and 1' }),
    {
      fallback: '1',
      meaning:
        'the part of the lines of successful requests, operations and connections that is written; slow and failed ones are always written',
      values: '0 to 1',
    },
  ),
  LOG_SLOW_MS: wholeNumber(
    1000,
    { min: 1, max: HOUR_MS, unit: 'ms' },
    'the duration from which a request or operation is logged as slow, with the hash of its document',
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: optional(
    z.string().refine((text) => /^https?:\/\/[^#\s]+$/.test(text) && URL.canParse(text), {
      error: 'must be an http: or https: URL, like http://localhost:4318',
    }),
    {
      absence: 'no traces',
      meaning: 'the OpenTelemetry collector of [traces](operating.md#traces)',
      values: '`http://…`, `https://…`',
      secrecy: 'password',
    },
  ),
  OTEL_SERVICE_NAME: defaulted(z.string().min(1), {
    fallback: 'tidings',
    meaning: 'the name of the service in traces',
    values: 'a name',
  }),
};
