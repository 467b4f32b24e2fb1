import { createSecretKey } from 'node:crypto';
import { forgetAttempts } from './accounts/attempts.ts';
import { forgetAuditEntries } from './accounts/audit.ts';
import { Identities } from './accounts/identities.ts';
import { keptSecret } from './accounts/secret.ts';
import { forgetSessions } from './accounts/sessions.ts';
import { fillSkeletons } from './accounts/skeletons.ts';
import { Feed } from './changes/feed.ts';
import type { ChangeLog } from './changes/log.ts';
import { type LoggedModels, loggedModels } from './changes/logged-models.ts';
import { PostgresLog } from './changes/postgres-log.ts';
import { installPostgresTriggers } from './changes/postgres-triggers.ts';
import { retainChanges } from './changes/retention.ts';
import { SqliteLog } from './changes/sqlite-log.ts';
import { installSqliteTriggers } from './changes/sqlite-triggers.ts';
import { chatScope } from './chat/slice.ts';
import { TypingSignals, typingTopic } from './chat/typing.ts';
import type { Config } from './config.ts';
import type { Services } from './context.ts';
import { repeat } from './database/housekeeping.ts';
import { forgetAnswers } from './database/idempotency.ts';
import { type DatabaseObserver, type OpenDatabase, openDatabase } from './database/open.ts';
import { PostgresPeers } from './database/postgres-peers.ts';
import { Opened } from './host/closing.ts';
import { Mailer } from './mail/mailer.ts';
import { SLICES } from './slices.ts';

/** How often expired answers, counts, sessions and audit entries are removed, in milliseconds. */
const FORGET_INTERVAL_MS = 10 * 60 * 1000;
/** The bytes of rendered events that are kept for subscriptions that have not sent them yet. */
const MAX_RESULT_BYTES = 16 * 1024 * 1024;

export interface ServicesObserver extends Omit<DatabaseObserver, 'onCommit'> {
  /** Work in the background failed; it is tried again. */
  readonly onFailure?: (error: unknown) => void;
  readonly onWarning?: (message: string, details: Record<string, unknown>) => void;
}

export interface OpenServices {
  readonly services: Services;
  readonly close: () => Promise<void>;
}

/** Opens what the services of every domain work with: the database, migrated, and the way credentials are issued. */
export function openServices(config: Config, observer: ServicesObserver = {}): Promise<OpenServices> {
  return Opened.during((opened) => openInto(opened, config, observer));
}

async function openInto(
  opened: Opened,
  config: Config,
  { onFailure = () => undefined, onWarning = () => undefined, ...observer }: ServicesObserver,
): Promise<OpenServices> {
  let onCommit = (): void => undefined;
  const models = loggedModels(Object.assign({}, ...SLICES.map(({ log }) => log)));
  const database = await openDatabase(
    config.database,
    {
      sqlite: (file) => installSqliteTriggers(file, models),
      postgres: (client) => installPostgresTriggers(client, models),
    },
    { ...observer, onCommit: () => onCommit() },
  );
  opened.add(database.close);
  const { auth } = config;
  const peers = database.path === null ? new PostgresPeers(config.database.url, config.database.timeoutMs) : null;
  opened.add(async () => peers?.close());
  const log = await openLog(config, database, models, peers);
  const feed = await Feed.start(log, {
    ...config.changes,
    maxResultBytes: MAX_RESULT_BYTES,
    memberships: SLICES.flatMap(({ memberships }) => memberships ?? []),
    onFailure,
    onWarning,
  }).catch(async (error: unknown) => {
    await log.close();
    throw error;
  });
  opened.add(() => feed.close());
  onCommit = () => {
    feed.wake();
    log.announce();
  };
  const mailer = config.mail && new Mailer(config.mail, onFailure);
  opened.add(async () => mailer?.close());
  const typing = new TypingSignals();
  opened.add(async () => typing.close());
  connectTyping(typing, feed, peers);
  const stopRetention = retainChanges(database.client, config.changes.retention, onFailure);
  const stopForgetting = repeat({
    intervalMs: FORGET_INTERVAL_MS,
    work: async (stopping) => {
      await forgetAnswers(database.client, stopping);
      await forgetAttempts(database.client, stopping);
      await forgetSessions(database.client, auth, stopping);
      await forgetAuditEntries(database.client, config.audit, stopping);
    },
    onFailure,
  });
  opened.add(stopForgetting);
  const stopping = new AbortController();
  const filling = fillSkeletons(database.client, stopping.signal).catch(onFailure);
  opened.add(() => {
    stopping.abort();
    return filling;
  });
  opened.add(stopRetention);
  return {
    services: {
      feed,
      typing,
      identities: new Identities(feed),
      database: database.client,
      writeLimits: config.writes,
      recovery: { mailer, links: auth.links },
      tokens: {
        secret: createSecretKey(auth.secret ?? keptSecret(database.path ?? ''), 'utf8'),
        accessTokenLifeS: auth.accessTokenLifeS,
        refreshTokenLifeS: auth.refreshTokenLifeS,
        sessionLifeS: auth.sessionLifeS,
        maxFailedSignIns: auth.maxFailedSignIns,
        maxFailedSignInsPerName: auth.maxFailedSignInsPerName,
        maxFailedSignInsPerAddress: auth.maxFailedSignInsPerAddress,
      },
    },
    close: () => opened.close(),
  };
}

/** A message ends the typing of its author; nodes exchange the signals of the chats that somebody there listens to. */
function connectTyping(typing: TypingSignals, feed: Feed, peers: PostgresPeers | null): void {
  typing.whileListening(async (chatId) =>
    feed.onChangeOf({ model: 'ChatMessage', scope: chatScope(chatId) }, ({ before, after }) => {
      if (before === null && after !== null) {
        typing.stop(chatId, after['userId'] as number);
      }
    }),
  );
  if (peers) {
    typing.passTo((chatId, message) => peers.send(typingTopic(chatId), message));
    typing.whileListening((chatId) => peers.listen(typingTopic(chatId), (message) => typing.receive(message)));
  }
}

function openLog(
  { auth, database: { url, timeoutMs } }: Config,
  { path }: OpenDatabase,
  models: LoggedModels,
  peers: PostgresPeers | null,
): Promise<ChangeLog> | ChangeLog {
  const settings = `anonymous:${auth.allowAnonymous}`;
  return peers
    ? PostgresLog.open({ url, timeoutMs, settings, models, peers })
    : new SqliteLog({ path: path ?? '', settings, models });
}
