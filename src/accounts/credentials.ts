import type { Connection, Context, RequestSource, Services, SessionCookie } from '../context.ts';
import { AnswerBudget, type AnswerLimits } from '../database/answer-budget.ts';
import { acrossOutages } from '../database/outages.ts';
import { findRow } from '../database/rows.ts';
import { UnauthenticatedError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import type { UserViewer, Viewer } from '../viewer.ts';
import { countedAddress } from './addresses.ts';
import { proveCookie, useIntervalMs } from './cookies.ts';
import { DEACTIVATED, EXPLANATIONS, HEADER_SENTENCES } from './fault-sentences.ts';
import { proveUser } from './sessions.ts';
import { digest } from './tokens.ts';

/** A call as a transport receives it, before its credential is checked. */
export interface Call {
  readonly authorization: string | undefined;
  /** The session cookie, which counts where no credential is in `authorization`. */
  readonly cookie?: SessionCookie | undefined;
  readonly requestId: string;
  /** The IP address of the caller. */
  readonly address?: string | undefined;
  readonly userAgent?: string | undefined;
  /** `GRAPHQL` when it is left out. */
  readonly source?: RequestSource;
  readonly connection?: Connection;
  /** Whether it waits for a database that is away rather than to fail: what stays open for hours can. */
  readonly waits?: boolean;
}

/** Makes the context of a call. */
export type ContextFactory = (call: Call) => Promise<Context>;

export interface ContextOptions {
  /** Whether todos, lists and notes without an owner are everybody's. */
  readonly sharesOwnerless: boolean;
  readonly answerLimits: AnswerLimits;
}

/** Makes contexts out of the server's services; a credential that is refused is part of a context, not a failure. */
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
    waits = false,
  }) => {
    // Before the identity is read: what is changed about it afterwards lies after this position.
    const { cursor } = services.feed;
    const read = (): Promise<Identity> => identify(services, sharesOwnerless, authorization, cookie);
    return {
      ...services,
      ...(await (waits ? acrossOutages(services.database, read) : read())),
      cookie: cookie ?? null,
      requestId,
      address: countedAddress(address),
      answer: new AnswerBudget(answerLimits),
      userAgent,
      source,
      cursor,
      connection: connection ?? null,
    };
  };
}

/** Who the caller is: the viewer, and why the credential that was sent is refused, if it is. */
type Identity = Pick<Context, 'viewer' | 'refusal'>;

const ANONYMOUS: readonly Viewer[] = [false, true].map((sharesOwnerless) => ({ kind: 'anonymous', sharesOwnerless }));

/** What cookies begin with among the credentials that are remembered: no header can, and no other credential is looked up that does. */
const COOKIE = '\0cookie ';

const KEY = /^[0-9a-f]{40}$/;
const ASCII = /^[!-~]*$/;

/**
 * Reads an `Authorization` header: `JWT <jwt>`, `Bearer <jwt or key>` or `Token <key>`, the scheme in any case. Without one, or with a scheme that is none of
 * these, the session cookie counts, and without that the caller is anonymous; a credential that is refused never counts as none.
 */
async function identify(
  services: Services,
  sharesOwnerless: boolean,
  header: string | undefined,
  cookie: SessionCookie | undefined,
): Promise<Identity> {
  const known = header === undefined || header.startsWith(COOKIE) ? undefined : services.identities.find(header);
  if (known) {
    return { viewer: known, refusal: null };
  }
  const anonymous = ANONYMOUS[Number(sharesOwnerless)] as Viewer;
  try {
    const credential = header === undefined ? null : credentialOf(header);
    if (header === undefined || credential === null) {
      return cookie?.value === undefined
        ? { viewer: anonymous, refusal: null }
        : await identifyByCookie(services, anonymous, cookie, cookie.value);
    }
    const read = credential.kind === 'key' ? viewerOfKey : viewerOfJwt;
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
  const name = COOKIE + value;
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
      // Or the browser would send it with every request, and none would be answered.
      cookie.write?.(null);
    }
    throw error;
  }
}

function credentialOf(header: string): { kind: 'key' | 'jwt'; value: string } | null {
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
    throw new UnauthenticatedError('Invalid token.', 'The key is unknown: it was ended, or never made.');
  }
  if (!user.isActive) {
    throw new UnauthenticatedError('User inactive or deleted.', DEACTIVATED);
  }
  return viewerOf(user, { kind: 'key', id: token.id });
}

async function viewerOfJwt(services: Services, jwt: string): Promise<Omit<UserViewer, 'sharesOwnerless'>> {
  const proof = await proveUser(services, jwt);
  if (typeof proof === 'string') {
    throw new UnauthenticatedError(HEADER_SENTENCES[proof], EXPLANATIONS[proof]);
  }
  return viewerOf(proof.user, {
    kind: 'session',
    id: proof.session?.id ?? null,
    expiresAt: proof.expiresAt,
    byCookie: false,
  });
}

async function viewerOfCookie(services: Services, value: string): Promise<Omit<UserViewer, 'sharesOwnerless'>> {
  const { user, sessionId, expiresAt } = await proveCookie(services, value);
  return viewerOf(user, { kind: 'session', id: sessionId, expiresAt, byCookie: true });
}

function viewerOf(
  { id, username, isStaff }: User,
  credential: UserViewer['credential'],
): Omit<UserViewer, 'sharesOwnerless'> {
  return { kind: 'user', id, username, isStaff, credential };
}
