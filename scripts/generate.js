// Makes the Prisma clients (SQLite and PostgreSQL) and the Pothos types out of prisma/schema.prisma, unless they are there already.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const generated = `${root}src/generated`;
const stampFile = `${generated}/stamp`;
const require = createRequire(import.meta.url);
const models = readFileSync(`${root}prisma/schema.prisma`, 'utf8');

/** The models for PostgreSQL: a client of the same shape, with times that say where on Earth they are. */
function postgresSchema() {
  return models
    .replace(/generator pothos \{.*?\n\}\n/s, '')
    .replace('"../src/generated/client"', '"./postgres-client"')
    .replace('provider = "sqlite"', 'provider = "postgresql"')
    .replace(/^(\s+\w+\s+DateTime\??)/gm, '$1 @db.Timestamptz(3)');
}

function generate(schema) {
  execFileSync(
    process.execPath,
    [require.resolve('prisma/build/index.js'), 'generate', '--no-hints', '--schema', schema],
    {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        // Prisma finds generators by name, as npm does.
        PATH: `${root}node_modules/.bin${delimiter}${process.env.PATH}`,
        // `generate` never runs the schema engine, but would download one where a network allows it.
        PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
        PRISMA_HIDE_UPDATE_MESSAGE: '1',
        CHECKPOINT_DISABLE: '1',
      },
    },
  );
}

const stamp = createHash('sha256')
  .update(models)
  .update(readFileSync(`${root}package-lock.json`))
  .update(readFileSync(fileURLToPath(import.meta.url)))
  .digest('hex');

if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
  mkdirSync(generated, { recursive: true });
  writeFileSync(`${generated}/postgres.prisma`, postgresSchema());
  generate('prisma/schema.prisma');
  generate('src/generated/postgres.prisma');
  writeFileSync(stampFile, stamp);
}
