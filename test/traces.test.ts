import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { PikaConsumer, type PrivateBroker, privateBroker, produce } from './broker/rabbit.ts';
import { privateDatabase } from './kit/app.ts';
import { Person } from './kit/person.ts';
import { describeWith } from './kit/present.ts';
import { type ServerProcess, startProcess } from './kit/process.ts';
import { SocketClient } from './kit/socket.ts';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: { readonly key: string; readonly value: { readonly stringValue?: string } }[];
}

interface Export {
  readonly resourceSpans: {
    readonly resource: { readonly attributes: Span['attributes'] };
    readonly scopeSpans: { readonly spans: Span[] }[];
  }[];
}

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const SENSITIVE = 'never in a span';
const PASSWORD = 'a good long password';

/** A receiver of the OpenTelemetry protocol. */
const spans: Span[] = [];
const services = new Set<string | undefined>();
const database = privateDatabase();
let collector: Server;
let endpoint: string;

beforeAll(async () => {
  collector = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) {
      body += chunk;
    }
    if (request.url === '/v1/traces') {
      for (const { resource, scopeSpans } of (JSON.parse(body) as Export).resourceSpans) {
        services.add(attributeOf(resource.attributes, 'service.name'));
        spans.push(...scopeSpans.flatMap((scope) => scope.spans));
      }
    }
    response.setHeader('content-type', 'application/json').end('{}');
  }).listen(0, '127.0.0.1');
  await once(collector, 'listening');
  endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
});
afterAll(() => {
  collector.close();
  database.remove();
});

function attributeOf(attributes: Span['attributes'], key: string): string | undefined {
  return attributes.find((attribute) => attribute.key === key)?.value.stringValue;
}

function start(env: Record<string, string>): Promise<ServerProcess> {
  return startProcess({
    DATABASE_URL: `file:${database.path}`,
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_BSP_SCHEDULE_DELAY: '50',
    TRUST_PROXY: '1',
    ...env,
  });
}

function span(name: string, traceId?: string): Promise<Span> {
  return vi.waitFor(() => {
    const found = spans.find((each) => each.name === name && (traceId === undefined || each.traceId === traceId));
    expect(found, `${name} among ${[...new Set(spans.map((each) => each.name))].join(', ')}`).toBeDefined();
    return found as Span;
  }, 5000);
}

describe('OTEL_EXPORTER_OTLP_ENDPOINT', () => {
  let server: ServerProcess;
  let ann: Person;
  beforeAll(async () => {
    server = await start({ OTEL_SERVICE_NAME: 'tidings-test', LOG_LEVEL: 'info' });
    const visitor = new Person(server.url, null, '');
    await visitor.gql(`mutation { signUp(input: { username: "ann", password: "${PASSWORD}" }) { __typename } }`);
    ann = await visitor.signIn('ann', PASSWORD);
  });
  afterAll(() => server.stop());

  it('should continue the trace of a trusted proxy, with the operation and its statements', async () => {
    const response = await ann.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', traceparent: `00-${TRACE}-${PARENT}-01` },
      body: JSON.stringify({
        query: 'mutation Add($title: String!) { createTodo(input: { title: $title }) { __typename } }',
        variables: { title: SENSITIVE },
      }),
    });
    expect(response.status).toBe(200);
    const request = await span('POST /graphql', TRACE);
    expect(request.parentSpanId).toBe(PARENT);
    const operation = await span('mutation Add', TRACE);
    expect(operation.parentSpanId).toBe(request.spanId);
    const statement = await span('INSERT', TRACE);
    expect(statement.parentSpanId).toBe(operation.spanId);
    expect(attributeOf(statement.attributes, 'db.system.name')).toBe('sqlite');
    expect(attributeOf(statement.attributes, 'db.query.text')).toMatch(/insert into "?Todo/i);
    expect([...services]).toEqual(['tidings-test']);
    await vi.waitFor(() => expect(server.output()).toContain(`"traceId":"${TRACE}"`));
  });

  it('should have a trace for a documented path, for an operation over WebSocket, and for deliveries', async () => {
    await ann.fetch('/notes');
    expect((await span('GET /notes')).parentSpanId ?? '').toBe('');
    const socket = await SocketClient.open(server.url, ann.authorization);
    await socket.execute('query OverSocket { todos { totalCount } }');
    const operation = await span('query OverSocket');
    expect((await span('SELECT', operation.traceId)).parentSpanId).toBe(operation.spanId);
    const subscription = socket.start('subscription Watch { todoChanged { action todo { list { name } } } }');
    await socket.execute('{ __typename }');
    await ann.gql('mutation { createTodo(input: { title: "x" }) { __typename } }');
    await subscription.results.next('event');
    expect(attributeOf((await span('deliver')).attributes, 'graphql.operation.name')).toBe('Watch');
    await socket.close();
    await span('subscription Watch');
  });

  it('should not contain values, and no health check', async () => {
    await ann.fetch('/health');
    await sleep(200);
    expect(JSON.stringify(spans)).not.toMatch(new RegExp(`${SENSITIVE}|${PASSWORD}|eyJ|/health`));
  });
});

it('a collector that is gone should not hold up a stop for long', async () => {
  const server = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' });
  await new Person(server.url, null, '').gql('{ __typename }');
  const startedAt = Date.now();
  expect((await server.stop()).code).toBe(0);
  expect(Date.now() - startedAt).toBeLessThan(6000);
});

describeWith('rabbitmq', 'messages of RabbitMQ', (brokerUrl) => {
  describeWith('pika', 'from and to Python', (python) => {
    let broker: PrivateBroker;
    it('should continue the trace of their sender, and carry one themselves', async () => {
      broker = await privateBroker(brokerUrl);
      const server = await start({ AMQP_URL: broker.url });
      try {
        const ann = await new Person(server.url, null, '').signIn('ann', PASSWORD);
        const { createChatSession } = await ann.gql('mutation { createChatSession { ... on ChatSession { uri } } }');
        const consumer = await PikaConsumer.start(python, broker.url, createChatSession.uri);
        await ann.gql(
          'mutation ($uri: String!) { sendMessage(uri: $uri, message: "hello") { __typename } }',
          createChatSession,
        );
        await consumer.waitFor(1);
        const published = await span('publish chat message');
        expect(consumer.arrivals[0]?.headers?.['traceparent']).toBe(`00-${published.traceId}-${published.spanId}-01`);
        await consumer.stop();

        const sender = TRACE.replace('4', '5');
        const text = JSON.stringify({ uri: createChatSession.uri, username: 'ann', message: 'from outside' });
        const headers = { traceparent: `00-${sender}-${PARENT}-01` };
        await produce(python, broker.url, 'tidings.chat.inbound', [{ id: 'outside', text, headers }]);
        const received = await span('receive chat message', sender);
        expect(received.parentSpanId).toBe(PARENT);
        expect((await span('INSERT', sender)).parentSpanId).toBe(received.spanId);
      } finally {
        await server.stop();
        await broker.remove();
      }
    });
  });
});
