import { defineConfig } from 'vitest/config';

/** Tests that bring a database of their own kind along, or need none: the same whichever one the suite is run over. */
const indifferent = [
  'test/{add-a-domain,answer-size,architecture,backup,browser-cookies,caching,command-line,config,connection-limits,csrf,dependencies,documents,drivers,durability,failed-start,graphiql,graphiql-examples,hash-queue,hosts,image-tree,key-rotation,logs,metrics,migrations,overload,pages,persisted-operations,process,prometheus,proxy,schema,slow-peers,soak,traces,usernames}.test.ts',
  'test/{broker,docs,feed,live,migrations,nodes,postgres,units}/**',
  'test/engine/retention.test.ts',
  'test/client/**',
  // What these ask for is refused or read before a database is asked.
  'test/{bad-tokens,cookie-refusals,fuzz,look-alikes}.test.ts',
  'test/rest/{bodies,conventions,fuzz,streaming}.test.ts',
  'test/subscribe-socket/{fuzz,handshake,limits}.test.ts',
];

/** Tests that state how long something takes, or load a process beyond what it can do: nothing runs beside them. */
const timed = [
  'test/{hash-queue,overload,slow-peers,soak}.test.ts',
  'test/live/slow-readers.test.ts',
  // Access tokens of five seconds, in six tabs of a browser.
  'test/client/examples.test.ts',
];

const left = process.env['TIDINGS_TEST_DATABASE'] === 'postgres' ? indifferent : [];

// biome-ignore lint/style/noDefaultExport: Vitest reads its configuration from the default export.
export default defineConfig({
  // One copy of graphql for the tests and for what they start: its objects do not know those of another.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    globalSetup: ['test/kit/template.ts'],
    pool: 'forks',
    // Files share what they import, and nothing that they write: each starts a server over a database of its own.
    isolate: false,
    projects: [
      {
        extends: true,
        test: {
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: ['test/mutation/**', ...timed, ...left],
          // One more than the cores of a small machine: the tests often wait for a process that they have started.
          maxWorkers: 3,
          sequence: { shuffle: true, groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: timed,
          exclude: left,
          maxWorkers: 1,
          sequence: { shuffle: true, groupOrder: 1 },
        },
      },
    ],
    coverage: {
      // `npm run coverage` asks for it. What runs in processes of its own is not counted.
      include: ['src/**/*.ts'],
      exclude: ['src/generated/**'],
      reporter: ['text-summary'],
    },
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
