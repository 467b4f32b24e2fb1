// Builds the package of clients/: `npm run build:client`. What it ships of the schema is made of schema.graphql.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildSchema, introspectionFromSchema, isAbstractType } from 'graphql';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = `${root}clients/dist/`;
const write = (name, text) => writeFileSync(`${target}${name}`, text);

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', `${root}clients`], {
  stdio: 'inherit',
});

const schema = buildSchema(readFileSync(`${root}schema.graphql`, 'utf8'));
cpSync(`${root}schema.graphql`, `${target}schema.graphql`);

const possibleTypes = Object.fromEntries(
  Object.values(schema.getTypeMap())
    .filter((type) => isAbstractType(type) && !type.name.startsWith('__'))
    .map((type) => [type.name, schema.getPossibleTypes(type).map(({ name }) => name)]),
);
write('possibleTypes.json', `${JSON.stringify(possibleTypes, null, 2)}\n`);
write('possible-types.js', `export const possibleTypes = ${JSON.stringify(possibleTypes)};\n`);
write(
  'possible-types.d.ts',
  '/** The types of each union and interface: `possibleTypes` of the cache of Apollo Client. */\nexport declare const possibleTypes: Record<string, string[]>;\n',
);

// Without descriptions, which neither the types of gql.tada nor Graphcache read.
const introspection = JSON.stringify(
  introspectionFromSchema(schema, { descriptions: false, specifiedByUrl: false, directiveIsRepeatable: false }),
);
write('introspection.js', `export const introspection = ${introspection};\n`);
write(
  'introspection.d.ts',
  `/** The schema: \`schema\` of Graphcache, and \`typeof introspection\` for gql.tada. */\nexport declare const introspection: ${introspection};\n`,
);

const operations = await import(pathToFileURL(`${target}operations.js`).href);
const byText = Object.values(operations).map((text) => [/^\w+ (\w+)/.exec(text)[1], text]);
write('operations.json', `${JSON.stringify(Object.fromEntries(byText), null, 2)}\n`);
