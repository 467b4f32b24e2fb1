// What a request costs: Tidings with authentication, rights and a change log beside its peers without any of them, over the same tables.
// node bench/requests.js [seconds] [rounds] [rows]; its peers are installed with `npm --prefix bench/peers install`.
// With BENCH_POSTGRES_URL=postgres://… over databases that it makes there and removes; BENCH_CASES='by id;update' leaves out the others, for profiles.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inFolder, startServer } from './server.js';
import {
  CONNECTIONS,
  casesOfBare,
  casesOfPeer,
  casesOfTidings,
  copyWithoutLog,
  DATABASE_NAME,
  environmentOf,
  fill,
  measure,
  median,
  newDatabase,
  removeDatabases,
  watchEverything,
} from './workload.js';

const [seconds = 2, rounds = 3, rows = 1_000] = process.argv.slice(2).map(Number);
const here = fileURLToPath(new URL('.', import.meta.url));
const wanted = process.env.BENCH_CASES?.split(';');

const results = await inFolder(async (folder) => {
  const database = await newDatabase(folder, 'tidings');
  const filled = await fill(database, rows);
  const peer = async (name, casesOf) => {
    const copy = await copyWithoutLog(database, name);
    return { server: await startServer({ PEER_DATABASE_URL: copy }, `bench/peers/${name}.js`), cases: casesOf(filled) };
  };
  // Its own database is used last: PostgreSQL copies those only that nobody is connected to.
  const peers = wanted
    ? {}
    : {
        bare: await peer('bare', casesOfBare),
        Mercurius: await peer('mercurius', casesOfPeer),
        Apollo: await peer('apollo', casesOfPeer),
        Yoga: await peer('yoga', casesOfPeer),
      };
  const tidings = { server: await startServer(environmentOf(database)), cases: casesOfTidings(filled) };
  const leave = await watchEverything(tidings.server.url, filled);
  const servers = { Tidings: tidings, ...peers };
  const measured = {};
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const name of wanted ?? Object.keys(servers.Tidings.cases)) {
        for (const [label, { server, cases }] of Object.entries(servers)) {
          if (cases[name]) {
            measured[name] ??= {};
            measured[name][label] ??= [];
            measured[name][label].push(await measure(server, cases[name], seconds));
          }
        }
      }
    }
  } finally {
    leave();
    await Promise.all(Object.values(servers).map(({ server }) => server.stop(wanted ? 'SIGTERM' : 'SIGKILL')));
    await removeDatabases();
  }
  return measured;
});

const PEERS = ['Mercurius', 'Apollo', 'Yoga'];
/** What a case is compared with when the bare server has none of its name. */
const BARE_CASE = {
  '{ __typename }, anonymous': 'by id',
  '{ __typename }, signed in': 'by id',
  'GET /api/posts/<id>/': 'by id',
  'GET /notes/<id>': 'by id',
  'PATCH /api/todos/<id>': 'update',
  'POST …/messages/': 'update',
};
const rateOf = (samples) => median(samples.map(({ rate }) => rate));
/** The lowest and highest ratio of two servers in one round. */
const spread = (left, right) => left.map(({ rate }, round) => rate / right[round].rate).sort((a, b) => a - b);

const lines = Object.entries(results).map(([name, byServer]) => {
  const tidings = byServer.Tidings;
  const bare = results[BARE_CASE[name] ?? name]?.bare;
  const best = PEERS.filter((peer) => byServer[peer]).sort((a, b) => rateOf(byServer[b]) - rateOf(byServer[a]))[0];
  const ratio = (other) => {
    if (!other) {
      return '';
    }
    const all = spread(tidings, other);
    return `${(rateOf(tidings) / rateOf(other)).toFixed(2)} (${all[0].toFixed(2)}–${all.at(-1).toFixed(2)})`;
  };
  const rate = (server) => (byServer[server] ? Math.round(rateOf(byServer[server])).toLocaleString('en') : '');
  return {
    case: name,
    Tidings: rate('Tidings'),
    'CPU µs': Math.round(median(tidings.map(({ cpu }) => cpu))),
    p99: `${median(tidings.map(({ p99 }) => p99))} ms`,
    Mercurius: rate('Mercurius'),
    Apollo: rate('Apollo'),
    Yoga: rate('Yoga'),
    bare: bare ? Math.round(rateOf(bare)).toLocaleString('en') : '',
    'to the best peer': best ? `${ratio(byServer[best])} ${best}` : '',
    'to bare': ratio(bare),
  };
});

const columns = Object.keys(lines[0]);
const table = [
  `| ${columns.join(' | ')} |`,
  `|${columns.map((_, index) => (index === 0 ? '---' : '--:')).join('|')}|`,
  ...lines.map((line) => `| ${columns.map((column) => line[column]).join(' | ')} |`),
].join('\n');
process.stdout.write(`${table}\n`);

if (!wanted) {
  const page = join(here, 'README.md');
  const text = readFileSync(page, 'utf8');
  const start = `<!-- ${DATABASE_NAME} -->`;
  const end = `<!-- /${DATABASE_NAME} -->`;
  const about = `Node ${process.version}, ${DATABASE_NAME}, ${rows.toLocaleString('en')} rows, ${CONNECTIONS} connections, medians of ${rounds} rounds of ${seconds} s, ${new Date().toISOString().slice(0, 10)}.`;
  const result = `\n${about}\n\n${table}\n`;
  writeFileSync(page, text.slice(0, text.indexOf(start) + start.length) + result + text.slice(text.indexOf(end)));
  if (DATABASE_NAME === 'SQLite') {
    writeFileSync(join(here, 'requests.svg'), chart());
  }
}

/** Requests a second of all servers in the cases that all have, as bars. */
function chart() {
  const shared = Object.entries(results).filter(([, byServer]) => byServer.Mercurius);
  const names = ['Tidings', ...PEERS, 'bare'];
  const colours = { Tidings: '#0f766e', Mercurius: '#64748b', Apollo: '#94a3b8', Yoga: '#cbd5e1', bare: '#e2e8f0' };
  const rowHeight = 20;
  const groupHeight = names.length * rowHeight + 34;
  const width = 720;
  const bars = shared.flatMap(([name, byServer], group) => {
    const most = Math.max(...names.map((server) => rateOf(byServer[server])));
    const top = group * groupHeight + 24;
    return [
      `<text x="8" y="${top}" font-weight="600">${name}, requests a second</text>`,
      ...names.map((server, index) => {
        const rate = rateOf(byServer[server]);
        const y = top + 8 + index * rowHeight;
        const length = Math.max(1, (rate / most) * (width - 220));
        return `<text x="8" y="${y + 13}">${server}</text><rect x="100" y="${y}" width="${length.toFixed(1)}" height="15" fill="${colours[server]}"/><text x="${(106 + length).toFixed(1)}" y="${y + 13}">${Math.round(rate).toLocaleString('en')}</text>`;
      }),
    ];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${shared.length * groupHeight}" font-family="system-ui, sans-serif" font-size="13" fill="#0f172a">
<title>Requests a second of Tidings, its peers and a bare server</title>
<rect width="100%" height="100%" fill="#ffffff"/>
${bars.join('\n')}
</svg>
`;
}
