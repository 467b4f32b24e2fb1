import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { SLICES as SLICES_OF_MODELS } from '../src/slices.ts';

const SOURCES = fileURLToPath(new URL('../src', import.meta.url));
const TESTS = fileURLToPath(new URL('.', import.meta.url));

interface Source {
  /** The path within `src/`, like `todos/service.ts`. */
  readonly path: string;
  readonly text: string;
}

interface Import {
  /** A path within `src/`, or the name of a package. */
  readonly target: string;
  readonly isType: boolean;
}

function importsOf({ path, text }: Source): Import[] {
  const statements = text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'"]*?\sfrom\s+)?'([^']+)';?$/gms);
  return [...statements].map(([statement, type, name = '']) => ({
    target: name.startsWith('.') ? normalize(join(dirname(path), name)) : name,
    // `import { type A, type B }` imports no value either.
    isType: type !== undefined || /^import\s*\{(\s*type\s+[\w$]+(\s+as\s+\w+)?,?)+\s*\}/.test(statement),
  }));
}

const SLICES = ['accounts', 'todos', 'posts', 'chat', 'notes'];
const slice = `(${SLICES.join('|')})`;
/** Files that speak GraphQL, HTTP or WebSocket; all others know nothing of them. */
const TRANSPORT = new RegExp(
  `^(app|main|schema)\\.ts$|^(graphql|rest|host|sockets|legacy-socket|chat/broker)/|^${slice}/([\\w-]*schema|subscriptions|[\\w-]*rest|socket|legacy-socket)\\.ts$`,
);
const TRANSPORT_PACKAGES =
  /^(graphql$|graphql-|@pothos\/|@graphql|@escape\.tech|fastify|@fastify\/|ws$|node:(http|net|cluster)$|negotiator|rabbitmq-client)/;

const MODELS = SLICES_OF_MODELS.flatMap(({ log }) => Object.keys(log));
/** The name of a model in quotes, and a client's access to its table. */
const NAMED_MODEL = new RegExp(`["'\`](${MODELS.join('|')})["'\`]`, 'g');
const NAMED_TABLE = new RegExp(
  `\\.(${MODELS.map((name) => name.charAt(0).toLowerCase() + name.slice(1)).join('|')})\\.(find|create|update|upsert|delete|count|aggregate|groupBy)`,
  'g',
);

/** A rule of the architecture: what a source may not do, expressed as what is wrong with it. */
interface Rule {
  readonly name: string;
  readonly faults: (source: Source) => string[];
  /** A source that breaks the rule. */
  readonly proof: Source;
}

/** A rule about what files may import. */
function noImport(
  name: string,
  from: RegExp,
  what: RegExp | ((target: string, path: string) => boolean),
  proof: Source,
): Rule {
  return {
    name,
    proof,
    faults: (source) =>
      from.test(source.path)
        ? importsOf(source)
            .filter(({ target }) => (what instanceof RegExp ? what.test(target) : what(target, source.path)))
            .map(({ target }) => target)
        : [],
  };
}

const RULES: readonly Rule[] = [
  noImport(
    'policies import policies, conditions and models',
    new RegExp(`^${slice}/policy\\.ts$`),
    /service|schema|rest|subscriptions|graphql\/|database\/(?!open|condition\.ts$)/,
    {
      path: 'todos/policy.ts',
      text: "import { updateTodo } from './service.ts';",
    },
  ),
  noImport(
    'services import no transport',
    new RegExp(`^${slice}/(?!broker/|.*(schema|subscriptions|rest|socket)\\.ts$)`),
    (target) => TRANSPORT.test(target) && target !== 'rest/dates.ts',
    {
      path: 'todos/service.ts',
      text: "import { createBuilder } from '../graphql/builder.ts';",
    },
  ),
  {
    name: 'files that are no transport import no package of one',
    faults: (source) =>
      TRANSPORT.test(source.path) || source.path.startsWith('generated/')
        ? []
        : importsOf(source)
            .map(({ target }) => target)
            .filter((target) => TRANSPORT_PACKAGES.test(target)),
    proof: { path: 'todos/service.ts', text: "import { GraphQLError } from 'graphql';" },
  },
  noImport(
    'the schema of a slice imports no other slice’s schema',
    new RegExp(`^${slice}/[\\w-]*schema\\.ts$`),
    (target, path) => /schema\.ts$/.test(target) && dirname(target) !== dirname(path),
    {
      path: 'todos/schema.ts',
      text: "import { definePosts } from '../posts/schema.ts';",
    },
  ),
  noImport('changes/ and database/ know no domain', /^(changes|database)\//, new RegExp(`^${slice}/`), {
    path: 'changes/feed.ts',
    text: "import { visibleTodos } from '../todos/policy.ts';",
  }),
  {
    name: 'changes/ and database/ name no model of a domain',
    faults: ({ path, text }) =>
      /^(changes|database)\//.test(path)
        ? [...text.matchAll(NAMED_MODEL), ...text.matchAll(NAMED_TABLE)].map(([use]) => use)
        : [],
    proof: { path: 'changes/feed.ts', text: "if (model === 'ChatMember') { await database.chatMember.findMany(); }" },
  },
  noImport('nothing imports the process', /^(?!main\.ts$)/, /^main\.ts$/, {
    path: 'todos/service.ts',
    text: "import { run } from '../main.ts';",
  }),
  {
    name: 'only main.ts reads the process',
    faults: ({ path, text }) =>
      path === 'main.ts' ? [] : [...text.matchAll(/(?<![.\w])process\.\w+|node:process/g)].map(([use]) => use),
    proof: { path: 'config.ts', text: 'const port = process.env.PORT;' },
  },
  {
    name: 'nothing but changes/ writes the change log',
    faults: ({ path, text }) =>
      path.startsWith('changes/')
        ? []
        : [...text.matchAll(/\bchange\.(create|update|upsert)\w*|\.publish\(/g)].map(([use]) => use),
    proof: { path: 'todos/service.ts', text: 'await database.change.create({ data });' },
  },
  {
    name: 'no folder is a drawer',
    faults: ({ path }) => (/(^|\/)(utils?|helpers?|common|lib|services)\//.test(path) ? [path] : []),
    proof: { path: 'utils/strings.ts', text: '' },
  },
  {
    name: 'no file is longer than 400 lines',
    faults: ({ text }) => (text.split('\n').length > 401 ? [`${text.split('\n').length} lines`] : []),
    proof: { path: 'todos/service.ts', text: '\n'.repeat(500) },
  },
  {
    name: 'no any, no suppressed type error, no enum, no default export',
    faults: ({ text }) =>
      [
        ...text.matchAll(
          /(: any\b|\bas any[;,)\]]|<any>|@ts-ignore|@ts-expect-error|^export default|^(export )?enum )/gm,
        ),
      ].map(([use]) => use),
    proof: { path: 'todos/service.ts', text: 'const value: any = 1;' },
  },
];

function readSources(folder: string, within = ''): Source[] {
  return readdirSync(join(folder, within), { withFileTypes: true }).flatMap((entry) => {
    const path = join(within, entry.name);
    if (entry.isDirectory()) {
      return entry.name === 'generated' ? [] : readSources(folder, path);
    }
    return path.endsWith('.ts') ? [{ path, text: readFileSync(join(folder, path), 'utf8') }] : [];
  });
}

/** A cycle of value imports, as the paths along it; null when there is none. */
function findCycle(sources: readonly Source[]): string[] | null {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): string[] | null => {
    if (trail.includes(path)) {
      return [...trail.slice(trail.indexOf(path)), path];
    }
    const source = byPath.get(path);
    if (!source || done.has(path)) {
      return null;
    }
    for (const { target, isType } of importsOf(source)) {
      const cycle = isType ? null : visit(target, [...trail, path]);
      if (cycle) {
        return cycle;
      }
    }
    done.add(path);
    return null;
  };
  return sources.reduce<string[] | null>((found, { path }) => found ?? visit(path, []), null);
}

const sources = readSources(SOURCES);

describe('the architecture', () => {
  describe.each(RULES)('$name', ({ faults, proof }) => {
    it('should hold for every source', () => {
      const broken = sources.flatMap((source) => faults(source).map((fault) => `${source.path}: ${fault}`));
      expect(broken).toEqual([]);
    });

    it('should be noticed when it is broken', () => {
      expect(faults(proof)).not.toEqual([]);
    });
  });

  it('should have no cycle of values', () => {
    expect(findCycle(sources)).toBeNull();
  });

  it('should have its cycles noticed, but not those of types', () => {
    const left = { path: 'a.ts', text: "import { b } from './b.ts';" };
    expect(findCycle([left, { path: 'b.ts', text: "import { a } from './a.ts';" }])).toEqual(['a.ts', 'b.ts', 'a.ts']);
    expect(findCycle([left, { path: 'b.ts', text: "import type { A } from './a.ts';" }])).toBeNull();
  });

  it('should keep tests short enough to be read', () => {
    const long = readSources(TESTS).filter(({ text }) => text.split('\n').length > 601);
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  it('should import every module without doing anything', async () => {
    for (const { path } of sources.filter(({ path }) => path !== 'main.ts')) {
      await import(join(SOURCES, path));
    }
    expect(process.getActiveResourcesInfo().filter((resource) => resource.includes('Server'))).toEqual([]);
  });
});
