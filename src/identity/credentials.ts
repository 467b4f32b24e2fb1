import type { AnswerLimits } from '../config/answer-limits.ts';
import type { Context, RequestSource, Services, SessionCookie, TransportConnection } from '../context.ts';
import { AnswerBudget } from '../database/answer-budget.ts';
import { retryDuringOutage } from '../database/outages.ts';
import { findRow } from '../database/rows.ts';
import { UnauthenticatedError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import type { RequestRecord } from '../telemetry.ts';
import type { UserViewer, Viewer } from '../viewer.ts';
import { verifyAccessToken } from './access-tokens.ts';
import { countedAddress } from './addresses.ts';
import { useIntervalMs, verifyCookie } from './cookies.ts';
import { ACCOUNT_DEACTIVATED, FAULT_EXPLANATIONS, HEADER_FAULT_SENTENCES } from './fault-sentences.ts';
import { digest } from './tokens.ts';

/** A request or a handshake as a transport receives it, before its credential is verified. */
export interface Call {
  readonly authorization: string | undefined;
  /** The session cookie. It is used only when `authorization` contains no credential. */
  readonly cookie?: SessionCookie | undefined;
  readonly requestId: string;
  /** The IP address of the caller. */
  readonly address?: string | undefined;
  readonly userAgent?: string | undefined;
  /** Defaults to `GRAPHQL`. */
  readonly source?: RequestSource;
  readonly connection?: TransportConnection;
  /** The record of the request, to which the user is added. */
  readonly record?: RequestRecord | undefined;
  /** Whether to wait while the database is unavailable instead of failing: a connection that stays open for hours can wait. */
  readonly waits?: boolean;
}

/** Creates the context of a call. */
export type ContextFactory = (call: Call) => Promise<Context>;

export interface ContextOptions {
  /** Whether everybody may read and change todos, lists and notes without an owner. */
  readonly sharesOwnerless: boolean;
  readonly answerLimits: AnswerLimits;
}

/** Returns the factory of contexts. A rejected credential does not make it fail: the context then holds the reason as `refusal`. */
export function createContextFactory(
  services: Services,
  { sharesOwnerless, answerLimits }: ContextOptions,
): ContextFactory {
  return async ({
    authorization,
    cookie,
    requestId,
    address = '',
    userAgent,
    source = 'GRAPHQL',
    connection,
    record,
    waits = false,
  }) => {
    // Taken before the identity is read, so that every later change of the identity lies after this position.
    const { cursor } = services.feed;
    const read = (): Promise<Identity> => identify(services, sharesOwnerless, authorization, cookie);
    const identity = await (waits ? retryDuringOutage(services.database, read) : read());
    const { viewer, refusal } = identity;
    if (record && viewer.kind === 'user') {
      record.userId = viewer.id;
    }
    if (refusal) {
      services.telemetry.report({ kind: 'refused', reason: 'credential', detail: refusal.message, address, requestId });
    }
    return {
      ...services,
      ...identity,
      cookie: cookie ?? null,
      requestId,
      address: countedAddress(address),
      answer: new AnswerBudget(answerLimits),
      userAgent,
      source,
      cursor,
      connection: connection ?? null,
      record: record ?? null,
    };
  };
}

/** The viewer of a call, and why the credential of the call was rejected, if it was. */
type Identity = Pick<Context, 'viewer' | 'refusal'>;

const ANONYMOUS: readonly Viewer[] = [false, true].map((sharesOwnerless) => ({ kind: 'anonymous', sharesOwnerless }));

/** The prefix of cookies among the keys of the identity cache. No header can start with it, and no other credential is looked up that does. */
const COOKIE_PREFIX = '\0cookie ';

const KEY = /^[0-9a-f]{40}$/;
const ASCII = /^[!-~]*$/;

/**
 * Identifies the caller by the `Authorization` header (`JWT <jwt>`, `Bearer <jwt or key>` or `Token <key>`, the scheme in any case). Without a header of these
 * schemes it uses the session cookie, and without a cookie the caller is anonymous. A rejected credential is reported, never ignored.
 */
async function identify(
  services: Services,
  sharesOwnerless: boolean,
  header: string | undefined,
  cookie: SessionCookie | undefined,
): Promise<Identity> {
  const known = header === undefined || header.startsWith(COOKIE_PREFIX) ? undefined : services.identities.find(header);
  if (known) {
    return { viewer: known, refusal: null };
  }
  const anonymous = ANONYMOUS[Number(sharesOwnerless)] as Viewer;
  try {
    const credential = header === undefined ? null : parseAuthorization(header);
    if (header === undefined || credential === null) {
      return cookie?.value === undefined
        ? { viewer: anonymous, refusal: null }
        : await identifyByCookie(services, anonymous, cookie, cookie.value);
    }
    const read = credential.kind === 'key' ? viewerOfKey : viewerOfAccessToken;
    const viewer = await services.identities.read(header, async () => ({
      ...(await read(services, credential.value)),
      sharesOwnerless,
    }));
    return { viewer, refusal: null };
  } catch (error) {
    if (error instanceof UnauthenticatedError) {
      return { viewer: anonymous, refusal: error };
    }
    throw error;
  }
}

async function identifyByCookie(
  services: Services,
  anonymous: Viewer,
  cookie: SessionCookie,
  value: string,
): Promise<Identity> {
  if (cookie.refusal) {
    return { viewer: anonymous, refusal: cookie.refusal };
  }
  const name = COOKIE_PREFIX + value;
  const known = services.identities.find(name);
  if (known) {
    return { viewer: known, refusal: null };
  }
  const { sharesOwnerless } = anonymous;
  try {
    const read = async () => ({ ...(await viewerOfCookie(services, value)), sharesOwnerless });
    return { viewer: await services.identities.read(name, read, useIntervalMs(services.tokens)), refusal: null };
  } catch (error) {
    if (error instanceof UnauthenticatedError) {
      // Otherwise the browser would send it again with every request, and each would be rejected.
      cookie.write?.(null);
    }
    throw error;
  }
}

/** Parses an `Authorization` header. Returns null for a scheme that this server does not know. */
function parseAuthorization(header: string): { kind: 'key' | 'jwt'; value: string } | null {
  const [name = '', value, ...more] = header.split(/\s+/).filter((word) => word !== '');
  const scheme = name.toLowerCase();
  if (scheme === 'token') {
    if (value === undefined) {
      throw new UnauthenticatedError('Invalid token header. No credentials provided.');
    }
    if (more.length > 0) {
      throw new UnauthenticatedError('Invalid token header. Token string should not contain spaces.');
    }
    if (!ASCII.test(value)) {
      throw new UnauthenticatedError('Invalid token header. Token string should not contain invalid characters.');
    }
    return { kind: 'key', value };
  }
  if (scheme === 'jwt' || scheme === 'bearer') {
    if (value === undefined) {
      throw new UnauthenticatedError('Invalid Authorization header. No credentials provided.');
    }
    if (more.length > 0) {
      throw new UnauthenticatedError('Invalid Authorization header. Credentials string should not contain spaces.');
    }
    return { kind: scheme === 'bearer' && KEY.test(value) ? 'key' : 'jwt', value };
  }
  return null;
}

async function viewerOfKey({ database }: Services, key: string): Promise<Omit<UserViewer, 'sharesOwnerless'>> {
  const token = KEY.test(key) ? await findRow(database, 'AuthToken', { keyHash: digest(key) }) : undefined;
  const user = token && (await findRow(database, 'User', { id: token.userId }));
  if (!user) {
    throw new UnauthenticatedError(
      'Invalid token.',
      'The API key is unknown or was revoked. Sign in, or create a new one.',
    );
  }
  if (!user.isActive) {
    throw new UnauthenticatedError('User inactive or deleted.', ACCOUNT_DEACTIVATED);
  }
  return viewerOf(user, { kind: 'key', id: token.id });
}

async function viewerOfAccessToken(services: Services, jwt: string): Promise<Omit<UserViewer, 'sharesOwnerless'>> {
  const owner = await verifyAccessToken(services, jwt);
  if (typeof owner === 'string') {
    throw new UnauthenticatedError(HEADER_FAULT_SENTENCES[owner], FAULT_EXPLANATIONS[owner]);
  }
  const { user, session, expiresAt } = owner;
  return viewerOf(user, { kind: 'session', id: session?.id ?? null, expiresAt, byCookie: false });
}

async function viewerOfCookie(services: Services, value: string): Promise<Omit<UserViewer, 'sharesOwnerless'>> {
  const { user, sessionId, expiresAt } = await verifyCookie(services, value);
  return viewerOf(user, { kind: 'session', id: sessionId, expiresAt, byCookie: true });
}

function viewerOf(
  { id, username, isStaff }: User,
  credential: UserViewer['credential'],
): Omit<UserViewer, 'sharesOwnerless'> {
  return { kind: 'user', id, username, isStaff, credential };
}
