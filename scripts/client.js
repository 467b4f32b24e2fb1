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

// Without descriptions, which no reader of an introspection needs.
const introspection = introspectionFromSchema(schema, {
  descriptions: false,
  specifiedByUrl: false,
  directiveIsRepeatable: false,
});
const literal = JSON.stringify(introspection);
write('introspection.js', `export const introspection = ${literal};\n`);
write(
  'introspection.d.ts',
  `/** The introspection of the schema: \`typeof introspection\` is what gql.tada takes. */\nexport declare const introspection: ${literal};\n`,
);

/** Graphcache reads the names of types and fields, and which of them are nullable or lists. */
const ANY = { kind: 'SCALAR', name: 'Any' };
const isComposite = ({ kind, name }) => ['OBJECT', 'INTERFACE', 'UNION'].includes(kind) && !name?.startsWith('__');
const brief = (type) =>
  type.ofType
    ? { kind: type.kind, ofType: brief(type.ofType) }
    : isComposite(type)
      ? { kind: type.kind, name: type.name }
      : ANY;
const types = introspection.__schema.types
  .filter(isComposite)
  .map(({ kind, name, fields, interfaces, possibleTypes: members }) => ({
    kind,
    name,
    ...(fields && { fields: fields.map((field) => ({ name: field.name, type: brief(field.type), args: [] })) }),
    ...(interfaces && { interfaces: interfaces.map(brief) }),
    ...(members && { possibleTypes: members.map(brief) }),
  }));
const { queryType, mutationType, subscriptionType } = introspection.__schema;
const brieflyTyped = {
  __schema: { queryType, mutationType, subscriptionType, types: [...types, ANY], directives: [] },
};
write('graphcache-schema.js', `export const schema = ${JSON.stringify(brieflyTyped)};\n`);
write(
  'graphcache-schema.d.ts',
  "import type { CacheExchangeOpts } from '@urql/exchange-graphcache';\n/** `schema` of Graphcache. */\nexport declare const schema: NonNullable<CacheExchangeOpts['schema']>;\n",
);

const operations = await import(pathToFileURL(`${target}operations.js`).href);
const byText = Object.values(operations).map((text) => [/^\w+ (\w+)/.exec(text)[1], text]);
write('operations.json', `${JSON.stringify(Object.fromEntries(byText), null, 2)}\n`);
