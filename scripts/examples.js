// Generates the types of the example apps' documents: `npm run examples`, after `npm run build:client`. gql.tada needs no generated files.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { preset } from '@graphql-codegen/client-preset';
import { codegen } from '@graphql-codegen/core';
import { gqlPluckFromCodeStringSync } from '@graphql-tools/graphql-tag-pluck';
import { buildSchema, parse } from 'graphql';

const examples = fileURLToPath(new URL('../clients/examples/', import.meta.url));
const relayCompiler = fileURLToPath(import.meta.resolve('relay-compiler/cli.js'));

/** What `graphql-codegen` does with `apollo/codegen.json`. Its CLI is not used: it brings 85 packages along, some of which need Node 22. */
async function generateByPreset(app) {
  const { schema: schemaFile, generates } = JSON.parse(readFileSync(join(app, 'codegen.json'), 'utf8'));
  const schemaText = readFileSync(join(app, schemaFile), 'utf8');
  for (const [folder, { presetConfig, config }] of Object.entries(generates)) {
    const target = join(app, folder);
    rmSync(target, { recursive: true, force: true });
    const files = await preset.buildGeneratesSection({
      baseOutputDir: target,
      schema: parse(schemaText),
      schemaAst: buildSchema(schemaText),
      documents: documentsIn(join(app, 'src')),
      presetConfig,
      config,
      plugins: [],
      pluginMap: {},
    });
    for (const file of files) {
      mkdirSync(dirname(file.filename), { recursive: true });
      writeFileSync(file.filename, await codegen(file));
    }
  }
}

/** Returns the documents in the sources of a folder. */
function documentsIn(folder) {
  const paths = readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.tsx'))
    .map((name) => join(folder, name));
  return paths.flatMap((location) => {
    const sources = gqlPluckFromCodeStringSync(location, readFileSync(location, 'utf8'), { skipIndent: true });
    return sources.map((source) => ({ location, document: parse(source), rawSDL: source.body }));
  });
}

await generateByPreset(join(examples, 'apollo'));
execFileSync(process.execPath, [relayCompiler, '--output', 'quiet-with-errors'], {
  cwd: join(examples, 'relay'),
  stdio: 'inherit',
});
