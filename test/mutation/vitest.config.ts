import { defineConfig } from 'vitest/config';

// biome-ignore lint/style/noDefaultExport: Vitest reads its configuration from the default export.
export default defineConfig({
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  // Files are isolated, unlike in the suite: a mutant that is active while a module is loaded must not stay for the next run.
  test: { include: ['test/units/*.test.ts'], testTimeout: 10_000 },
});
