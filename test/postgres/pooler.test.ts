import { afterAll, beforeAll, expect, it } from 'vitest';
import { Person } from '../kit/person.ts';
import { createDatabase, type PostgresDatabase, runSql } from '../kit/postgres.ts';
import { describeWith } from '../kit/present.ts';
import { runCommand, type ServerProcess, startProcess } from '../kit/process.ts';
import { SocketClient } from '../kit/socket.ts';
import { type Pooler, startPooler } from './pooler.ts';

const SECRET_KEY = '9f1c27b0e84d635a7210fbce4496d83b';
const PASSWORD = 'a good long password';
const TODOS = 'subscription ($after: String) { todoChanged(after: $after) { todo { title } } }';
const CREATE = 'mutation ($title: String!) { createTodo(input: { title: $title }) { __typename } }';
const CREATE_ONCE = `mutation { createTodo(input: { title: "once" }, idempotencyKey: "one key") { ... on Todo { id } } }`;

describeWith('pgbouncer', 'two nodes behind PgBouncer in transaction mode', (program) => {
  let database: PostgresDatabase;
  let pooler: Pooler;
  let nodes: ServerProcess[] = [];
  const visitor = (node: number): Person => new Person(nodes[node]?.url ?? '', null, '');
  const env = (): Record<string, string> => ({
    DATABASE_URL: pooler.url,
    DATABASE_DIRECT_URL: database.url,
    SECRET_KEY,
  });

  beforeAll(async () => {
    database = await createDatabase();
    pooler = await startPooler(program, database.url);
    nodes = await Promise.all([startProcess({ ...env(), LOG_LEVEL: 'warn' }), startProcess(env())]);
  }, 60_000);
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await pooler.stop();
    await database.remove();
  });

  it('should send subscribers of both nodes what both write, with more requests than the pooler has connections', async () => {
    const { cursor } = await visitor(0).gql('{ cursor }');
    const clients = await Promise.all(nodes.map(({ url }) => SocketClient.open(url, null)));
    const streams = clients.map((client) => client.start(TODOS, { after: cursor }));
    const titles = Array.from({ length: 60 }, (_, index) => `todo ${index}`);
    await Promise.all(titles.map((title, index) => visitor(index % 2).gql(CREATE, { title })));
    const orders: string[][] = [];
    for (const stream of streams) {
      const order: string[] = [];
      for (const _title of titles) {
        order.push((await stream.event()).todo.title);
      }
      orders.push(order);
    }
    expect([...(orders[0] ?? [])].sort()).toEqual([...titles].sort());
    expect(orders[1]).toEqual(orders[0]);
    for (const client of clients) {
      client.raw.terminate();
    }
  });

  it('should answer queries whose statements other connections have prepared', async () => {
    const queries = [
      '{ todos(first: 5) { nodes { title list { name } } totalCount } }',
      '{ todos(first: 3, filter: { titleContains: "todo" }) { nodes { title } } }',
      '{ todoLists(first: 2) { nodes { name todos(first: 2) { nodes { title } } } } }',
      '{ notes(first: 2) { nodes { title } } }',
    ];
    const all = Array.from({ length: 80 }, (_, index) => visitor(index % 2).ask(queries[index % queries.length] ?? ''));
    const failed = (await Promise.all(all)).filter(({ errors }) => errors !== undefined);
    expect(failed.map(({ errors }) => errors?.[0]?.message)).toEqual([]);
  });

  it('should carry out a request once, on whichever node', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, (_, index) => visitor(index % 2).gql(CREATE_ONCE)));
    expect(new Set(answers.map(({ createTodo }) => createTodo.id)).size).toBe(1);
  });

  it('should end the sockets of a session on the other node when the session ends', async () => {
    await visitor(0).gql(`mutation { signUp(input: { username: "ann", password: "${PASSWORD}" }) { __typename } }`);
    const ann = await visitor(0).signIn('ann', PASSWORD);
    const client = await SocketClient.open(nodes[1]?.url ?? '', ann.authorization);
    client.start(TODOS);
    await runSql(database.url, `UPDATE "User" SET "isActive" = false WHERE "username" = 'ann'`);
    expect(await client.closed).toMatchObject({ code: 4403 });
  });

  it('should limit the time of transactions, leave no setting behind, and warn that other statements have no limit', async () => {
    const settings = ['idle_in_transaction_session_timeout', 'statement_timeout', 'application_name'];
    const values = settings.map((name) => `current_setting('${name}')`).join(`, ' ', `);
    await runSql(
      database.url,
      `CREATE FUNCTION reveal() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN NEW."description" := concat(${values}); RETURN NEW; END $$;
       CREATE TRIGGER reveal BEFORE INSERT ON "Todo" FOR EACH ROW EXECUTE FUNCTION reveal()`,
    );
    const { createTodo } = await visitor(0).gql(
      'mutation { createTodo(input: { title: "limited" }, idempotencyKey: "another key") { ... on Todo { description } } }',
    );
    // With this application name, the triggers of the log leave the notification to the node.
    expect(createTodo).toEqual({ description: '5s 15s tidings' });
    const [left] = await runSql(pooler.url, `SELECT concat(current_setting('statement_timeout'), '') AS "timeout"`);
    expect(left).toEqual({ timeout: '0' });
    expect(nodes[0]?.output()).toContain('ALTER ROLE … SET statement_timeout');
  });

  it('should refuse a pooler without a direct URL, and two URLs of different databases', async () => {
    const other = await createDatabase();
    const [alone, different] = await Promise.all([
      runCommand(['serve'], { DATABASE_URL: pooler.url, SECRET_KEY, PORT: '0' }),
      runCommand(['serve'], { ...env(), DATABASE_DIRECT_URL: other.url, PORT: '0' }),
    ]);
    await other.remove();
    expect([alone.code, different.code]).toEqual([1, 1]);
    expect(alone.output).toContain('Set DATABASE_DIRECT_URL to the PostgreSQL server itself');
    expect(different.output).toContain('DATABASE_URL and DATABASE_DIRECT_URL lead to two databases');
  });
});
