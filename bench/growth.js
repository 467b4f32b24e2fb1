// Whether requests cost the same over a few rows and over many: by id, pages in each order that a list offers, writes; and how long a start takes.
//   taskset -c 1 node bench/growth.js [few] [many] [seconds]
// With BENCH_POSTGRES_URL=postgres://… over databases that it makes there and removes.
import { inFolder, report, startServer } from './server.js';
import { casesOfTidings, environmentOf, fill, graphql, measure, newDatabase, removeDatabases } from './workload.js';

const [few = 1_000, many = 1_000_000, seconds = 1] = process.argv.slice(2).map(Number);
/** Fewer than in other benchmarks: what is asked here is how much one costs. */
const CONNECTIONS = 4;
const ORDERS = {
  todos: ['ID', 'TITLE', 'CREATED_AT', 'UPDATED_AT'],
  posts: ['ID', 'TITLE', 'CREATED_AT', 'UPDATED_AT'],
  notes: ['ID', 'TITLE', 'PRIORITY', 'CREATED_AT', 'INSERTED_AT', 'UPDATED_AT'],
};

function casesOf(filled) {
  const { 'by id': byId, update, 'PATCH /api/todos/<id>': patch } = casesOfTidings(filled);
  const pages = (who, authorizations) =>
    Object.entries(ORDERS).flatMap(([list, fields]) =>
      fields.flatMap((field) =>
        ['ASC', 'DESC'].map((direction) => {
          const query = `{ ${list}(first: 20, orderBy: { field: ${field}, direction: ${direction} }) { nodes { id title } } }`;
          return [`${list} by ${field} ${direction}${who}`, authorizations.map((each) => graphql(query, {}, each))];
        }),
      ),
    );
  const TITLES = { field: 'TITLE', direction: 'ASC' };
  const FROM =
    'query ($after: String, $order: TodoOrder) { todos(first: 20, after: $after, orderBy: $order) { nodes { id title } } }';
  const middle = filled.todos.map(({ id, title, authorization }) => {
    const after = Buffer.from(JSON.stringify(['title', id, title])).toString('base64url');
    return graphql(FROM, { after, order: TITLES }, authorization);
  });
  return {
    'by id': byId,
    'todos by TITLE, from anywhere': middle,
    update,
    'PATCH /api/todos/<id>': patch,
    ...Object.fromEntries(pages('', filled.people)),
    ...Object.fromEntries(pages(', staff', [filled.staff])),
  };
}

/** How long a server takes from its start to its first answer of rows, in milliseconds. */
async function start(database, authorization) {
  const begun = performance.now();
  const server = await startServer(environmentOf(database));
  const { path, ...options } = graphql('{ posts(first: 20) { nodes { id } } }', {}, authorization);
  await (await fetch(server.url + path, options)).text();
  return { server, ms: performance.now() - begun };
}

await inFolder(async (folder) => {
  const databases = [];
  for (const rows of [few, many]) {
    const database = await newDatabase(folder, `rows${rows}`);
    databases.push({ rows, database, filled: await fill(database, rows) });
  }
  const sides = [];
  for (const { rows, database, filled } of databases) {
    const starts = [];
    for (let count = 0; count < 3; count += 1) {
      const { server, ms } = await start(database, filled.staff);
      starts.push(Math.round(ms));
      await server.stop('SIGTERM');
    }
    const { server } = await start(database, filled.staff);
    sides.push({ rows, server, cases: casesOf(filled), starts });
  }
  const table = [];
  try {
    for (const name of Object.keys(sides[0].cases)) {
      const measured = [];
      for (const { server, cases } of sides) {
        measured.push(await measure(server, cases[name], seconds, CONNECTIONS));
      }
      const [small, large] = measured;
      table.push({
        case: name,
        'CPU µs': `${Math.round(small.cpu)} → ${Math.round(large.cpu)}`,
        'CPU ratio': (large.cpu / small.cpu).toFixed(2),
        // On PostgreSQL most of the work is that of another process.
        'time ratio': (small.rate / large.rate).toFixed(2),
      });
    }
  } finally {
    await Promise.all(sides.map(({ server }) => server.stop('SIGKILL')));
    await removeDatabases();
  }
  report(table);
  for (const { rows, starts } of sides) {
    process.stdout.write(
      `From the start to the first answer over ${rows.toLocaleString('en')} rows: ${starts.join(', ')} ms\n`,
    );
  }
});
