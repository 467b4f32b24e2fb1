import cors, { type FastifyCorsOptions } from '@fastify/cors';
import type { FastifyInstance } from 'fastify';
import type { Config } from '../config.ts';

const ANY = '*';
/** How long a browser need not ask again, in seconds. */
const PREFLIGHT_LIFE_S = 600;

const SHARED: FastifyCorsOptions = {
  methods: 'GET, HEAD, POST, PUT, PATCH, DELETE',
  exposedHeaders: 'x-request-id, link, location, allow, retry-after',
  maxAge: PREFLIGHT_LIFE_S,
};

/** The origins whose pages may send the session cookie: those that the operator names. */
export function namedOrigins({ corsOrigins }: Config['http']): readonly string[] {
  return corsOrigins.filter((origin) => origin !== ANY);
}

/** Lets pages of the configured origins read answers: of a named origin also with cookies, of any origin without. */
export function registerCors(host: FastifyInstance, config: Config['http']): void {
  const named = namedOrigins(config);
  const ofNamed = withoutPreflight({ ...SHARED, origin: [...named], credentials: true });
  const ofOthers = withoutPreflight({ ...SHARED, origin: config.corsOrigins.includes(ANY) ? ANY : [...named] });
  host.register(cors, {
    delegator: ({ headers }, done) => {
      const { origin } = headers;
      const options = origin !== undefined && named.includes(origin) ? ofNamed : ofOthers;
      // Other requests with OPTIONS ask a path to describe itself.
      const isPreflight = origin !== undefined && 'access-control-request-method' in headers;
      done(null, isPreflight ? options.preflight : options.other);
    },
  });
}

function withoutPreflight(options: FastifyCorsOptions): Record<'preflight' | 'other', FastifyCorsOptions> {
  return { preflight: options, other: { ...options, preflight: false } };
}
