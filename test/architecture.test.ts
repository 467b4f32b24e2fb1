import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise, type ICruiseOptions, type ICruiseResult, type IForbiddenRuleType } from 'dependency-cruiser';
import { describe, expect, it } from 'vitest';
import { modelsByReference } from '../src/database/columns.ts';
import { SLICES } from '../src/slices.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SOURCES = join(ROOT, 'src');
const TESTS = join(ROOT, 'test');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const ARCHITECTURE = read('ARCHITECTURE.md');
const PAGES = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'bench/README.md',
  'drivers/README.md',
  'schema.graphql',
];

/** The import rules; plain JavaScript, since the command line of dependency-cruiser reads them, too. */
interface ImportRules {
  readonly LAYERS: readonly (readonly string[])[];
  readonly default: { readonly forbidden: IForbiddenRuleType[]; readonly options: ICruiseOptions };
}

const { LAYERS, default: rules } = (await import(join(ROOT, '.dependency-cruiser.js'))) as ImportRules;
const { forbidden, options } = rules;
const { drawnPage } = (await import(join(ROOT, 'scripts/draw-architecture.js'))) as { drawnPage(): Promise<string> };

interface Source {
  /** The path within `src/`, like `todos/service.ts`. */
  readonly path: string;
  readonly text: string;
}

const MODELS = SLICES.flatMap(({ models }) => Object.keys(models));
/** The name of a model in quotes, and a client's access to its table. */
const NAMED_MODEL = new RegExp(`["'\`](${MODELS.join('|')})["'\`]`, 'g');
const NAMED_TABLE = new RegExp(
  `\\.(${MODELS.map((name) => name.charAt(0).toLowerCase() + name.slice(1)).join('|')})\\.(find|create|update|upsert|delete|count|aggregate|groupBy)`,
  'g',
);

/** Words that this code base once had of its own; the words of the specifications and libraries take their place. */
const PRIVATE_WORDS =
  /\b(heed\w*|fores(ee|een|ees|aw)|standing|admits?|admitted|entrants?|lastingly|doors?|told|tells?|mortal|mourn\w*|goodbye|patience|prove[sdn]?|unheard|heard|doubtful|outbox|obey\w*)\b|PATIENCE|GOODBYE|Outbox/gi;

/** A rule about the text of a source, expressed as the faults that it finds. */
interface Rule {
  readonly name: string;
  readonly faults: (source: Source) => string[];
  /** A source that breaks the rule. */
  readonly offender: Source;
}

const RULES: readonly Rule[] = [
  {
    name: 'changes/ and database/ name no model of a domain',
    faults: ({ path, text }) =>
      /^(changes|database)\//.test(path)
        ? [...text.matchAll(NAMED_MODEL), ...text.matchAll(NAMED_TABLE)].map(([use]) => use)
        : [],
    offender: {
      path: 'changes/feed.ts',
      text: "if (model === 'ChatMember') { await database.chatMember.findMany(); }",
    },
  },
  {
    name: 'only main.ts reads the process',
    faults: ({ path, text }) =>
      path === 'main.ts' ? [] : [...text.matchAll(/(?<![.\w])process\.\w+|node:process/g)].map(([use]) => use),
    offender: { path: 'config.ts', text: 'const port = process.env.PORT;' },
  },
  {
    name: 'OpenTelemetry is loaded only when traces are configured',
    faults: ({ path, text }) =>
      path === 'operations/tracing.ts'
        ? []
        : [...text.matchAll(/^import .*(?:@opentelemetry|\/tracing\.ts)/gm)].map(([use]) => use),
    offender: { path: 'app.ts', text: "import { startTracing } from './operations/tracing.ts';" },
  },
  {
    name: 'nothing but changes/ writes the change log',
    faults: ({ path, text }) =>
      path.startsWith('changes/')
        ? []
        : [...text.matchAll(/\bchange\.(create|update|upsert)\w*|\.publish\(/g)].map(([use]) => use),
    offender: { path: 'todos/service.ts', text: 'await database.change.create({ data });' },
  },
  {
    name: 'no folder is a drawer',
    faults: ({ path }) => (/(^|\/)(utils?|helpers?|common|lib|services)\//.test(path) ? [path] : []),
    offender: { path: 'utils/strings.ts', text: '' },
  },
  {
    name: 'no file is longer than 300 lines',
    faults: ({ text }) => (linesOf(text) > 300 ? [`${linesOf(text)} lines`] : []),
    offender: { path: 'todos/service.ts', text: '\n'.repeat(301) },
  },
  {
    name: 'no private words',
    faults: ({ text }) => [...text.matchAll(PRIVATE_WORDS)].map(([word]) => word),
    offender: { path: 'changes/feed.ts', text: '/** Heeds changes of rights. */' },
  },
  {
    name: 'no any, no suppressed type error, no enum, no default export',
    faults: ({ text }) =>
      [
        ...text.matchAll(
          /(: any\b|\bas any[;,)\]]|<any>|@ts-ignore|@ts-expect-error|^export default|^(export )?enum )/gm,
        ),
      ].map(([use]) => use),
    offender: { path: 'todos/service.ts', text: 'const value: any = 1;' },
  },
];

function readFiles(folder: string, within = ''): Source[] {
  return readdirSync(join(folder, within), { withFileTypes: true }).flatMap((entry) => {
    const path = join(within, entry.name);
    if (entry.isDirectory()) {
      return ['generated', 'node_modules'].includes(entry.name) ? [] : readFiles(folder, path);
    }
    return /\.(ts|js|py|md|conf)$/.test(path) ? [{ path, text: readFileSync(join(folder, path), 'utf8') }] : [];
  });
}

function linesOf(text: string): number {
  return text.split('\n').length - 1;
}

/** The names of the import rules that the files of a folder break, each with their positions. */
async function violationsIn(folder: string): Promise<string[]> {
  const { output } = await cruise(['src'], { ...options, baseDir: folder, validate: true, ruleSet: { forbidden } });
  return (output as ICruiseResult).summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`);
}

/** Files that break every import rule: a file for each room that imports one of the next layer and one of its own. */
function offendingFiles(): Record<string, string> {
  const fileOf = (room: string): string => (room.endsWith('.ts') ? room : `${room}/offender.ts`);
  const files: Record<string, string> = {};
  const add = (path: string, ...targets: readonly string[]): void => {
    const up = '../'.repeat(path.split('/').length - 1) || './';
    files[path] = (files[path] ?? '') + targets.map((target) => `import type {} from '${up}${target}';\n`).join('');
  };
  for (const [index, rooms] of LAYERS.entries()) {
    const outer = LAYERS[index + 1]?.[0];
    for (const room of rooms) {
      add(fileOf(room), ...rooms.filter((other) => other !== room).map(fileOf), ...(outer ? [fileOf(outer)] : []));
    }
  }
  add('notes/service.ts', 'rest/offender.ts');
  add('notes/policy.ts', 'notes/service.ts');
  add('notes/schema.ts', 'todos/schema.ts');
  add('todos/schema.ts');
  files['changes/feed.ts'] = "import fastify from 'fastify';\n";
  return files;
}

const sources = readFiles(SOURCES);
/** Rules about the language and the size of files hold for the client package as well. */
const clientSources = readFiles(join(ROOT, 'clients/src'));
const CLIENT_RULES = RULES.filter(({ name }) => /^no (?!folder)/.test(name));

describe('the architecture', () => {
  describe.each(RULES)('$name', ({ faults, offender }) => {
    it('should hold for every source', () => {
      const broken = sources.flatMap((source) => faults(source).map((fault) => `${source.path}: ${fault}`));
      expect(broken).toEqual([]);
    });

    it('should be noticed when it is broken', () => {
      expect(faults(offender)).not.toEqual([]);
    });
  });

  it.each(CLIENT_RULES)('should have in clients/: $name', ({ faults }) => {
    expect(clientSources.flatMap((source) => faults(source).map((fault) => `${source.path}: ${fault}`))).toEqual([]);
  });

  it('should have imports that point inwards only, and no cycle', async () => {
    expect(await violationsIn(ROOT)).toEqual([]);
  });

  it('should have every broken import rule noticed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tidings-architecture-'));
    mkdirSync(join(folder, 'node_modules/fastify'), { recursive: true });
    writeFileSync(join(folder, 'node_modules/fastify/index.js'), 'module.exports = {};');
    for (const [path, text] of Object.entries(offendingFiles())) {
      mkdirSync(join(folder, 'src', dirname(path)), { recursive: true });
      writeFileSync(join(folder, 'src', path), `${text}export {};\n`);
    }
    const broken = new Set((await violationsIn(folder)).map((violation) => violation.split(': ')[0]));
    rmSync(folder, { recursive: true });
    expect(forbidden.map(({ name }) => name).filter((name) => !broken.has(name))).toEqual([]);
  });

  it('should have every room in a layer', () => {
    const rooms = new Set(sources.map(({ path }) => path.split('/')[0] ?? ''));
    expect([...rooms].sort()).toEqual(LAYERS.flat().sort());
  });

  it('should have every model in one slice, or in the engine', () => {
    const engine = ['Change', 'ChangeEpoch', 'IdempotencyKey', 'Lease', 'LogPosition', 'RateLimit'];
    const claimed = [...engine, ...SLICES.flatMap(({ models }) => Object.keys(models))];
    expect(claimed.sort()).toEqual(modelsByReference().sort());
  });

  it('should have sources of at most 100 lines in the median', () => {
    const lengths = sources.map(({ text }) => linesOf(text)).sort((left, right) => left - right);
    expect(lengths[Math.floor(lengths.length / 2)]).toBeLessThanOrEqual(100);
  });

  it('should be drawn in ARCHITECTURE.md as it is', async () => {
    expect(await drawnPage()).toBe(ARCHITECTURE);
  });

  it('should have the files and names that ARCHITECTURE.md leads through', () => {
    const named = [...ARCHITECTURE.matchAll(/`([\w./-]+\.(?:ts|js|prisma|md))(?:#([\w.$]+))?`/g)];
    expect(named.length).toBeGreaterThan(40);
    const missing = named.filter(([, path = '', name]) => {
      // The files that every slice may have are named without a folder.
      const file = [join(SOURCES, path), join(ROOT, path), join(SOURCES, 'todos', path)].find(existsSync);
      return !file || (name && !new RegExp(`\\b${name.split('.').at(-1)}\\b`).test(readFileSync(file, 'utf8')));
    });
    expect(missing.map(([reference]) => reference)).toEqual([]);
  });

  it('should have no private words in tests and pages', () => {
    const tests = readFiles(TESTS).filter(({ path }) => path !== 'architecture.test.ts');
    const pages = [...readFiles(join(ROOT, 'docs')), ...PAGES.map((path) => ({ path, text: read(path) }))];
    const found = [...tests, ...pages].flatMap(({ path, text }) =>
      (text.match(PRIVATE_WORDS) ?? []).map((word) => `${path}: ${word}`),
    );
    expect(found).toEqual([]);
  });

  it('should keep tests short enough to be read', () => {
    const long = readFiles(TESTS).filter(({ text }) => text.split('\n').length > 601);
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  it('should import every module without doing anything', async () => {
    for (const { path } of sources.filter(({ path }) => path !== 'main.ts')) {
      await import(join(SOURCES, path));
    }
    expect(process.getActiveResourcesInfo().filter((resource) => resource.includes('Server'))).toEqual([]);
  });
});
