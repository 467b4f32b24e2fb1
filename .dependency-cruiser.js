// The import rules of `src/`, as data: rooms from the inside to the outside. `test/architecture.test.ts` runs them, with an example for each
// rule that breaks it, and `npm run architecture` draws the picture in ARCHITECTURE.md.
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SOURCES = fileURLToPath(new URL('src/', import.meta.url));

/** The domains: every folder that holds a `slice.ts`. */
export const SLICES = readdirSync(SOURCES).filter((name) => existsSync(`${SOURCES}${name}/slice.ts`));

/** Which slices a slice may import. */
const NEIGHBOURS = {
  sessions: ['audit'],
  users: ['audit', 'chat', 'sessions'],
  todos: ['todo-lists'],
};

/** Rooms import rooms of layers before their own. Folders and files of the same layer do not import each other, but slices do as `NEIGHBOURS` says. */
export const LAYERS = [
  ['errors.ts', 'telemetry.ts'],
  ['validation.ts', 'json.ts', 'viewer.ts'],
  ['config'],
  ['database', 'mail'],
  ['changes', 'backup'],
  ['context.ts'],
  ['identity', 'search-index'],
  ['host'],
  ['sockets', 'operations'],
  ['graphql', 'rest'],
  ['legacy-socket'],
  ['slice.ts'],
  SLICES,
  ['slices.ts'],
  ['schema.ts', 'services.ts'],
  ['app.ts', 'commands'],
  ['main.ts'],
];

/** Files of a slice that speak GraphQL, HTTP or WebSocket. All others know no transport. */
const TRANSPORT_FILES = '(schema|subscriptions|rest|socket|bodies)[.]ts$|/broker/|/slice[.]ts$';
const TRANSPORT_ROOMS = '^src/(graphql|rest|host|sockets|legacy-socket)/';
const TRANSPORT_PACKAGES = [
  'graphql[^/]*',
  '@pothos/[^/]+',
  '@graphql[^/]*/[^/]+',
  '@escape[.]tech/[^/]+',
  'fastify',
  '@fastify/[^/]+',
  'ws',
  'negotiator',
  'rabbitmq-client',
];

/** A regular expression for the files of rooms. */
function filesOf(rooms) {
  const patterns = rooms.map((room) => (room.endsWith('.ts') ? `${room.replace('.', '[.]')}$` : `${room}/`));
  return `^src/(${patterns.join('|')})`;
}

const slices = filesOf(SLICES);

const outward = LAYERS.slice(0, -1).map((rooms, index) => ({
  name: `inward-from-${rooms.length > 3 ? 'slices' : rooms.join('-')}`,
  comment: 'Imports point inwards: a room imports rooms of layers before its own.',
  severity: 'error',
  from: { path: filesOf(rooms) },
  to: { path: filesOf(LAYERS.slice(index + 1).flat()) },
}));

const sideways = LAYERS.flatMap((rooms) =>
  rooms.length < 2
    ? []
    : rooms.map((room) => ({
        name: `beside-${room}`,
        comment: 'Rooms of one layer do not import each other, but slices import the neighbours that are named.',
        severity: 'error',
        from: { path: filesOf([room]) },
        to: { path: filesOf(rooms.filter((other) => other !== room && !NEIGHBOURS[room]?.includes(other))) },
      })),
);

// biome-ignore lint/style/noDefaultExport: dependency-cruiser reads its configuration from the default export.
export default {
  forbidden: [
    {
      name: 'no-circular',
      comment: 'No file imports itself through others, not even a type.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    ...outward,
    ...sideways,
    {
      name: 'services-know-no-transport',
      comment: 'The verbs, policies and filters of a slice know neither GraphQL nor HTTP nor WebSocket.',
      severity: 'error',
      from: { path: slices, pathNot: TRANSPORT_FILES },
      to: { path: `${TRANSPORT_ROOMS}|^node_modules/(${TRANSPORT_PACKAGES.join('|')})/|^(node:)?(http|net|cluster)$` },
    },
    {
      name: 'the-engine-knows-no-transport',
      comment: 'The inner layers use no package of a transport.',
      severity: 'error',
      from: {
        path: filesOf(
          LAYERS.slice(
            0,
            LAYERS.findIndex(([room]) => room === 'host'),
          ).flat(),
        ),
      },
      to: { path: `^node_modules/(${TRANSPORT_PACKAGES.join('|')})/|^(node:)?(http|net|cluster)$` },
    },
    {
      name: 'policies-import-conditions',
      comment:
        'A policy is a condition on rows: it imports the types of models and conditions, ownership and the viewer.',
      severity: 'error',
      from: { path: `${slices}policy[.]ts$` },
      to: { pathNot: '^src/(database/(client|condition)|identity/|viewer|generated/)' },
    },
    {
      name: 'schemas-meet-by-name',
      comment: 'The schema of a slice imports no schema of another one: types are named by strings.',
      severity: 'error',
      from: { path: '^src/([^/]+)/[^/]*schema[.]ts$' },
      to: { path: '^src/[^/]+/[^/]*schema[.]ts$', pathNot: '^src/$1/' },
    },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^src/generated' },
  },
};
