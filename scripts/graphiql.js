// Bundles the page of GraphiQL into dist/graphiql, unless it is there already: the package ships modules for bundlers only.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'graphiql');
const output = join(root, 'dist/graphiql');
const stampFile = join(output, 'stamp');

const inputs = [
  fileURLToPath(import.meta.url),
  join(root, 'package-lock.json'),
  ...readdirSync(source).map((name) => join(source, name)),
];
const hash = createHash('sha256');
for (const input of inputs) {
  hash.update(readFileSync(input));
}
const stamp = hash.digest('hex');

if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
  const { build } = await import('vite');
  await build({
    root: source,
    configFile: false,
    base: '/graphql/graphiql/',
    publicDir: false,
    logLevel: 'error',
    build: {
      outDir: output,
      emptyOutDir: true,
      assetsDir: '.',
      // The Content Security Policy allows no fonts and scripts in data: URLs.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
      // The libraries' own directives for servers ("use client") mean nothing here.
      rolldownOptions: { checks: { moduleLevelDirective: false } },
    },
  });
  for (const name of readdirSync(output).filter((each) => /\.(js|css)$/.test(each))) {
    writeFileSync(join(output, `${name}.gz`), gzipSync(readFileSync(join(output, name))));
  }
  writeFileSync(stampFile, stamp);
}
