// Draws the rooms of src/ and the arrows between them into ARCHITECTURE.md, as Mermaid; with `--check` it fails when the picture is not up to date.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cruise } from 'dependency-cruiser';
import config, { LAYERS, SLICES } from '../.dependency-cruiser.js';

const PAGE = fileURLToPath(new URL('../ARCHITECTURE.md', import.meta.url));
const PICTURE = /(<!-- The picture is made by `npm run architecture`\. -->\n)[\s\S]*?(<!-- End of the picture\. -->)/;

/** The room of a file: a folder, or a file that stands by itself. */
function roomOf(path) {
  return /^src\/([^/]+)/.exec(path)?.[1];
}

/** The rooms that each room imports. */
async function importsOfRooms() {
  const { output } = await cruise(['src'], config.options);
  const imports = new Map(LAYERS.flat().map((room) => [room, new Set()]));
  for (const { source, dependencies } of output.modules) {
    for (const { resolved } of dependencies) {
      const [from, to] = [roomOf(source), roomOf(resolved)];
      if (imports.has(from) && imports.has(to) && from !== to) {
        imports.get(from).add(to);
      }
    }
  }
  return imports;
}

/** The same arrows without those that a longer way implies. */
function reduced(imports) {
  const reaches = (from, to) => [...imports.get(from)].some((next) => next === to || reaches(next, to));
  return new Map(
    [...imports].map(([room, targets]) => [
      room,
      [...targets].filter((target) => ![...targets].some((other) => other !== target && reaches(other, target))),
    ]),
  );
}

/** The arrows with all slices as one room. */
function withSlicesAsOne(imports) {
  const merged = new Map();
  const nameOf = (room) => (SLICES.includes(room) ? 'slices' : room);
  for (const [room, targets] of imports) {
    const name = nameOf(room);
    const known = merged.get(name) ?? new Set();
    merged.set(name, known);
    for (const target of targets) {
      if (nameOf(target) !== name) {
        known.add(nameOf(target));
      }
    }
  }
  return merged;
}

function idOf(room) {
  return room.replaceAll(/\W/g, '_');
}

/** The picture as Mermaid: who imports whom, from the outside to the inside. */
export async function drawArchitecture() {
  const imports = await importsOfRooms();
  const arrows = (rooms) =>
    [...rooms].flatMap(([room, targets]) => [...targets].sort().map((target) => `  ${idOf(room)} --> ${idOf(target)}`));
  const between = new Map(SLICES.map((slice) => [slice, [...imports.get(slice)].filter((to) => SLICES.includes(to))]));
  return [
    '```mermaid',
    'flowchart TD',
    ...LAYERS.flat()
      .reverse()
      .filter((room) => !SLICES.includes(room))
      .map((room) => `  ${idOf(room)}["${room.endsWith('.ts') ? room : `${room}/`}"]`),
    '  subgraph slices["slices: one folder a domain"]',
    ...SLICES.map((slice) => `    ${idOf(slice)}["${slice}/"]`),
    '  end',
    ...arrows(reduced(withSlicesAsOne(imports))),
    ...arrows(between),
    '```',
  ].join('\n');
}

/** The page with the picture as it is now. */
export async function drawnPage() {
  const picture = await drawArchitecture();
  return readFileSync(PAGE, 'utf8').replace(PICTURE, (_match, begin, end) => `${begin}\n${picture}\n\n${end}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const page = await drawnPage();
  if (process.argv.includes('--check')) {
    if (page !== readFileSync(PAGE, 'utf8')) {
      process.stderr.write('The picture in ARCHITECTURE.md is not up to date: run `npm run architecture`.\n');
      process.exitCode = 1;
    }
  } else {
    writeFileSync(PAGE, page);
  }
}
