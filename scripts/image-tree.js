// Writes the files that serving needs into a folder, which the Dockerfile makes the image: `npm run image-tree -- <folder>`, after a build.
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const FILES = ['LICENSE', 'bin', 'dist', 'drivers', 'prisma', 'public'];
const BYTES_PER_MB = 1_048_576;

const read = (path) => JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8'));

/** The folder of a package as Node finds it from another one: in its own `node_modules`, or in those around it. */
function find(name, from) {
  for (let folder = from; ; folder = dirname(folder)) {
    const path = join(folder, 'node_modules', name);
    if (existsSync(join(root, path))) {
      return path;
    }
    if (folder === '.') {
      return null;
    }
  }
}

/**
 * The folders of all packages that the program needs. npm keeps more, since the Prisma CLI and TypeScript are optional peers of
 * @prisma/client: `npm ci --omit=dev` installs them with everything that they depend on.
 */
function neededPackages() {
  const needed = new Set();
  const waiting = ['.'];
  for (const from of waiting) {
    const {
      dependencies = {},
      optionalDependencies = {},
      peerDependencies = {},
      peerDependenciesMeta = {},
    } = read(from);
    const isOptional = (name) => name in optionalDependencies || peerDependenciesMeta[name]?.optional;
    const names = Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies });
    for (const name of names.filter((each) => !peerDependenciesMeta[each]?.optional)) {
      const path = find(name, from);
      if (path === null && !isOptional(name)) {
        throw new Error(`${name}, which ${from} depends on, is not installed: run npm ci.`);
      }
      if (path !== null && !needed.has(path)) {
        needed.add(path);
        waiting.push(path);
      }
    }
  }
  return needed;
}

/** The names of Prisma's query compilers that the generated clients import; the package has them for all databases and module formats. */
function usedCompilers() {
  const clients = readdirSync(join(root, 'dist/generated'), { recursive: true }).filter((name) => name.endsWith('.js'));
  const texts = clients.map((name) => readFileSync(join(root, 'dist/generated', name), 'utf8'));
  return new Set(texts.flatMap((text) => text.match(/query_compiler_[\w.-]+/g) ?? []));
}

const compilers = usedCompilers();

/** Whether the program may read a file of a package. */
function isUsed(path) {
  const name = path.split('/').at(-1);
  if (
    /\.(map|md|markdown|d\.[cm]?ts|tsbuildinfo)$/.test(name) ||
    (name.startsWith('query_compiler_') && !compilers.has(name))
  ) {
    return false;
  }
  // SQLite's source and the intermediate files of its compilation.
  return !/\/better-sqlite3-\d+\/(deps|src|build\/(?!Release$|Release\/[^/]+\.node$))/.test(path);
}

function copyPackage(path, target) {
  const source = join(root, path);
  const copy = join(target, path);
  mkdirSync(dirname(copy), { recursive: true });
  if (lstatSync(source).isSymbolicLink()) {
    symlinkSync(readlinkSync(source), copy);
    return;
  }
  cpSync(source, copy, {
    recursive: true,
    // Packages inside packages are copied by themselves.
    filter: (file) => relative(source, file) !== 'node_modules' && isUsed(`/${relative(root, file)}`),
  });
}

function sizeOf(folder) {
  const sizes = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => lstatSync(join(entry.parentPath, entry.name)).size);
  return sizes.reduce((sum, size) => sum + size, 0);
}

const [folder] = process.argv.slice(2);
if (folder === undefined || (existsSync(folder) && readdirSync(folder).length > 0)) {
  process.stderr.write('Usage: npm run image-tree -- <folder>, which must be new or empty.\n');
  process.exitCode = 2;
} else if (!existsSync(join(root, 'dist/main.js'))) {
  process.stderr.write('There is no dist/main.js: run npm run build first.\n');
  process.exitCode = 1;
} else {
  const target = resolve(folder);
  for (const name of FILES) {
    cpSync(join(root, name), join(target, name), { recursive: true });
  }
  const {
    workspaces: _ofClients,
    devDependencies: _forBuilds,
    scripts: _ofBuilds,
    allowScripts: _ofInstalls,
    ...manifest
  } = read('.');
  writeFileSync(join(target, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const packages = neededPackages();
  for (const path of packages) {
    copyPackage(path, target);
  }
  const size = Math.round(sizeOf(join(target, 'node_modules')) / BYTES_PER_MB);
  process.stdout.write(`${packages.size} packages in node_modules, ${size} MB.\n`);
}
