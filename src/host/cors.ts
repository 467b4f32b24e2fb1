import cors, { type FastifyCorsOptions } from '@fastify/cors';
import type { FastifyInstance } from 'fastify';
import type { Config } from '../config/config.ts';

const ANY = '*';
/** The time for which browsers cache the result of a preflight request, in seconds. */
const PREFLIGHT_LIFE_S = 600;

const SHARED: FastifyCorsOptions = {
  methods: 'GET, HEAD, POST, PUT, PATCH, DELETE',
  exposedHeaders: 'x-request-id, link, location, allow, retry-after',
  maxAge: PREFLIGHT_LIFE_S,
};

/** Returns the origins whose pages may send the session cookie: the configured ones, without the wildcard. */
export function namedOrigins({ corsOrigins }: Config['http']): readonly string[] {
  return corsOrigins.filter((origin) => origin !== ANY);
}

/** Adds the CORS headers for the configured origins: with credentials for origins by name, without for the wildcard. */
export function registerCors(host: FastifyInstance, config: Config['http']): void {
  const named = namedOrigins(config);
  const ofNamed = withoutPreflight({ ...SHARED, origin: [...named], credentials: true });
  const ofOthers = withoutPreflight({ ...SHARED, origin: config.corsOrigins.includes(ANY) ? ANY : [...named] });
  host.register(cors, {
    delegator: ({ headers }, done) => {
      const { origin } = headers;
      const options = origin !== undefined && named.includes(origin) ? ofNamed : ofOthers;
      // Other OPTIONS requests return the description of a REST path.
      const isPreflight = origin !== undefined && 'access-control-request-method' in headers;
      done(null, isPreflight ? options.preflight : options.other);
    },
  });
}

function withoutPreflight(options: FastifyCorsOptions): Record<'preflight' | 'other', FastifyCorsOptions> {
  return { preflight: options, other: { ...options, preflight: false } };
}
