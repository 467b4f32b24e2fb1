import type { Builder } from '../graphql/builder.ts';
import { SubscriptionSource } from '../graphql/subscriptions.ts';
import { loadUser } from '../identity/named-users.ts';
import { findLastSeen, isOnline } from './presence.ts';
import type { PresenceSignal } from './presence-rooms.ts';
import { CHAT_URI } from './schema.ts';
import { watchPresence } from './watch-presence.ts';

/** A user whom the process does not know about costs messages to the other processes. */
const LOOK_COST = 2;

/** Defines the fields of users for their presence, and the subscription to it. */
export function definePresence(builder: Builder): void {
  builder.objectFields('User', (t) => ({
    online: t.boolean({
      nullable: true,
      complexity: LOOK_COST,
      description:
        'Whether the user has an open connection to the server, on any node: a WebSocket or an event stream. Null for users who share no chat with the viewer, and for users who are invisible (`UpdateViewerInput.presence`). To follow it, use `chatPresence`.',
      resolve: (user, _args, context) => isOnline(context, user),
    }),
    lastSeen: t.field({
      type: 'DateTime',
      nullable: true,
      complexity: LOOK_COST,
      description:
        'When the user was last seen, to the minute: the present minute while they are online, otherwise when one of their sessions was last used, by a sign-in, a token refresh or a request with a cookie. So it can lie as far before their last request as an access token is valid, and is null when all their sessions have ended or they use API keys only. Null whenever `online` is.',
      resolve: (user, _args, context) => findLastSeen(context, user),
    }),
  }));

  const presence = builder.objectRef<PresenceSignal>('ChatPresence').implement({
    description: 'An event of `chatPresence`: the participants of a chat who are online at this moment.',
    fields: (t) => ({
      users: t.field({
        type: ['User'],
        description:
          'All participants who are online and not invisible, in the order of their accounts; at most 1001. The viewer is included.',
        resolve: async ({ userIds }, _args, context) => {
          const users = await Promise.all(userIds.map((id) => loadUser(context, id)));
          return users.flatMap((user) => user ?? []);
        },
      }),
    }),
  });
  builder.subscriptionField('chatPresence', (t) =>
    t.field({
      type: presence,
      authScopes: { signedIn: true },
      description:
        'Sends the participants of a chat who are online: once at the beginning, and whenever one comes or goes, but at most once a second, and less often while more than 50 users are online, up to once in 20 seconds for 1000. Each event replaces the one before. The events are not stored and have no cursor; after a reconnection the present state is sent. When a node of the server dies without closing its connections, its users stay online for up to 40 seconds. The subscription completes when the viewer is no longer a participant. `UNAUTHENTICATED` without a credential, `NOT_FOUND` when the viewer is not a participant.',
      args: { uri: t.arg.string(CHAT_URI) },
      subscribe: async (_root, { uri }, context) => new SubscriptionSource(await watchPresence(context, uri)),
      resolve: (event) => event as PresenceSignal,
    }),
  );
}
