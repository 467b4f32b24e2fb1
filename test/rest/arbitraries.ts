import fc from 'fast-check';
import { FORM_TYPE, JSON_TYPE, PASSWORD, type Sent } from './wire.ts';

/** The chat that requests ask for. */
export const URI = '0123456789ab4cd';

/** Anything that HTTP lets through in a header. */
const headerText = fc.string({
  unit: fc
    .integer({ min: 0x20, max: 0xff })
    .filter((code) => code !== 0x7f)
    .map((code) => String.fromCharCode(code)),
  maxLength: 30,
});
export const junkText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('', ' ', '\0', '\ud800', "'; DROP TABLE x; --", '__proto__', '𝟙', '9'.repeat(400), 'x'.repeat(3000)),
);
/** One of a list that is written in one line. */
export const among = (list: string): fc.Arbitrary<string> => fc.constantFrom(...list.split('|'));
const encodedJunk = junkText.map((text) => encodeURIComponent(text.toWellFormed()));
const segment = fc.oneof(
  { weight: 4, arbitrary: among(`1|2|3|0|-1|99999999|9223372036854775807|${URI}`) },
  { weight: 1, arbitrary: encodedJunk },
  { weight: 1, arbitrary: among('%|%ff|%00|%2F|..|.|%2e%2e|*|:id|1;x=y|%C3%28') },
);
const PATHS = [
  ...['auth/obtain_token', 'auth/refresh_token', 'auth/verify_token', 'auth/users/create', 'auth/token/create'],
  ...['auth/jwt/create', 'api/auth/verify_token', 'auth/me', 'auth/username', 'auth/password', 'api/account'],
  ...['api/posts', 'api/posts/#', 'api/todos/#', 'api/chats', 'api/chats/#', 'api/chats/#/messages'],
  ...['notes', 'notes/#', 'notes/#', '', '#', 'api/#', 'health', 'ready', 'openapi.json', 'graphql', 'docs/#'],
];
const parameter = fc.tuple(
  among('limit|offset|ordering|cursor|format|after|__proto__|x[]'),
  fc.oneof(among('1|0|-1|1000|99999999999999999999|-id,title|title,title,nope|MQ|null|%ff|'), encodedJunk),
);
const path = fc
  .tuple(fc.constantFrom(...PATHS), segment, fc.boolean(), fc.array(parameter, { maxLength: 3 }))
  .map(([form, filling, slash, parameters]) => {
    const query = parameters.map(([name, value]) => `${name}=${value}`).join('&');
    return `/${form.replace('#', filling)}${slash ? '/' : ''}${query ? `?${query}` : ''}`;
  });

export const value = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  junkText,
  fc.constantFrom<unknown>(true, null, '1', 1, 1e308, -0.5, [], {}, 'ann', PASSWORD, '2017-08-23 00:00'),
);
const FIELDS = ['username', 'password', 'email', 'token', 'title', 'content', 'description', 'priority', 'completed'];
const names = fc.constantFrom(...FIELDS, 'message', 'created_at', 'created_by', 'current_password', '__proto__', 'id');
export const body = fc.oneof(
  { weight: 6, arbitrary: fc.dictionary(names, value, { maxKeys: 6 }).map((fields) => JSON.stringify(fields)) },
  { weight: 2, arbitrary: fc.json() },
  {
    weight: 2,
    arbitrary: fc
      .array(fc.tuple(names, junkText))
      .map((pairs) => new URLSearchParams(pairs.map(([name, text]) => [name, text.toWellFormed()])).toString()),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
  // Texts that are cut off somewhere.
  { weight: 1, arbitrary: fc.json().map((text) => text.slice(0, -1)) },
  { weight: 1, arbitrary: among('|{|[|"|null|{}|--b\r\n\r\n--b--') },
  { weight: 1, arbitrary: fc.constantFrom('['.repeat(9000), 'x'.repeat(30_000)) },
);
const TYPES = `${JSON_TYPE}|${FORM_TYPE}|multipart/form-data; boundary=b|multipart/form-data|text/plain`;
const types = fc.oneof(among(`${TYPES}|${JSON_TYPE}; charset=utf-16|application/graphql-response+json|;|`), headerText);
const ACCEPTED = 'application/json|*/*|application/json; indent=4|application/json; indent=999999';
const accepts = fc.oneof(
  { weight: 4, arbitrary: among(ACCEPTED) },
  { weight: 1, arbitrary: among('application/xml|text/event-stream|a/b;q=x|,|') },
  { weight: 1, arbitrary: headerText },
);
const headers = fc.record(
  {
    'content-type': types,
    accept: accepts,
    authorization: fc.oneof(
      fc.nat(2).map((index) => `#${index}`),
      among('JWT|Token|Bearer x|Basic YTpi|JWT a.b.c|Token \xe9|Bearer eyJhbGciOiJub25lIn0.e30.'),
      headerText,
    ),
    'idempotency-key': fc.oneof(fc.constantFrom('', 'one', 'two', 'x'.repeat(300)), headerText),
    prefer: fc.oneof(fc.constantFrom('return=minimal', 'return=representation'), headerText),
    origin: fc.constantFrom('null', 'http://evil.example', '*'),
    'access-control-request-method': fc.constantFrom('PATCH', 'NOPE'),
    'x-forwarded-host': headerText,
    'last-event-id': headerText,
    'x-http-method-override': fc.constantFrom('DELETE'),
    'transfer-encoding': fc.constant('chunked'),
  },
  { requiredKeys: [] },
);
const methods = fc.oneof(
  { weight: 6, arbitrary: among('GET|POST|PUT|PATCH|DELETE') },
  { weight: 1, arbitrary: among('HEAD|OPTIONS|TRACE|PROPFIND|PURGE|M-SEARCH|SOURCE|QUERY') },
);
const bodiless = ['GET', 'HEAD', 'TRACE'];
/** Of anything anywhere: most of it is refused early. */
const wild = fc
  .record({ method: methods, path, headers, body: fc.option(body, { nil: undefined }) })
  .map(({ method, path, headers, body }): Sent => {
    const { 'transfer-encoding': chunked, ...rest } = headers;
    const sendsBody = body !== undefined && !bodiless.includes(method);
    return {
      method,
      path,
      headers: sendsBody && chunked ? headers : rest,
      ...(sendsBody && { body }),
    };
  });

/** What the paths take, for requests that come as far as the handlers: with what is right, and now and then something else. */
const NOTE = { title: 'n', description: 'd', created_at: '2017-08-23 00:00', created_by: 'me', priority: 4 };
const POST = { title: 't', content: 'c' };
const LOGIN = { username: 'ann', password: PASSWORD };
const KNOWN: readonly (readonly [weight: number, call: string, fields?: Readonly<Record<string, unknown>>])[] = [
  // A password takes a while to check.
  [1, 'POST /auth/obtain_token/', LOGIN],
  [1, 'POST /auth/token/create/', LOGIN],
  [1, 'POST /auth/users/create/', { username: 'newTHE-ID', password: PASSWORD, email: 'a@b.example' }],
  [1, 'POST /auth/username/', { new_username: 'ben' }],
  [1, 'POST /auth/password/', { new_password: PASSWORD }],
  [3, 'POST /auth/verify_token/', { token: 'THE-TOKEN' }],
  [3, 'POST /auth/refresh_token/', { token: 'THE-TOKEN' }],
  [3, 'PATCH /auth/me/', { email: 'a@b.example' }],
  [8, 'PATCH /api/todos/#', { completed: true }],
  [4, 'GET /api/posts?limit=3&'],
  [4, 'GET /api/posts/#'],
  [6, 'POST /api/posts/', POST],
  [6, 'PUT /api/posts/#', POST],
  [6, 'PATCH /api/posts/#', POST],
  [6, 'DELETE /api/posts/#'],
  [2, 'POST /api/chats/', { name: 'ignored' }],
  [6, `PATCH /api/chats/${URI}/`, { username: 'ann' }],
  [8, `POST /api/chats/${URI}/messages/`, { message: 'hello' }],
  [4, `GET /api/chats/${URI}/messages/?limit=3&`],
  [2, 'GET /notes'],
  [6, 'POST /notes', NOTE],
  [6, 'PUT /notes/#', NOTE],
  [8, 'DELETE /notes/#'],
];
/** Ids of the rows that the run itself makes, and of those that it may not touch. */
const ids = fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 60 }));
/** Goes along with all fields: whoever takes it refuses it, or the credentials would not live as long as the run. */
const NOT_IT = { current_password: 'not it' };
const bentHeaders = fc
  .tuple(headers, fc.shuffledSubarray(['authorization', 'accept', 'idempotency-key', 'prefer', 'content-type']))
  .map(([all, picked]) => {
    const [name] = picked.filter((each) => Object.hasOwn(all, each));
    return name && picked.length === 1 ? { [name]: all[name as keyof typeof all] } : {};
  });
const refusable = fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });

/** Almost right. */
const near = fc
  .oneof(
    ...KNOWN.map(([weight, call, fields]) => ({
      weight,
      arbitrary: fc.record({
        call: fc.constant(call),
        fields: fc.constant(fields),
        bent: fc.dictionary(fc.constantFrom(...Object.keys(fields ?? { none: 0 })), refusable, { maxKeys: 3 }),
        id: ids,
        query: fc.array(parameter, { maxLength: 2 }),
        credential: fc.nat(2),
        headers: bentHeaders,
        form: fc.boolean(),
        missing: fc.option(fc.nat(20)),
      }),
    })),
  )
  .map(({ call, fields, bent, id, query, credential, headers, form, missing }): Sent => {
    const [method = '', place = ''] = call.replace('#', String(id)).split(' ');
    const parameters = query.map(([name, text]) => `${name}=${text}`).join('&');
    const path = place.endsWith('&') ? `${place}${parameters}` : place;
    const right = Object.entries({ ...fields, ...withoutNothing(bent), ...NOT_IT }).filter(
      (_, index) => index !== missing,
    );
    const asForm = form && /^\/a(uth|pi\/(posts|chats))/.test(path);
    const type = { 'content-type': asForm ? FORM_TYPE : JSON_TYPE };
    const text = asForm
      ? new URLSearchParams(right.map(([name, inner]) => [name, asText(inner).toWellFormed()])).toString()
      : JSON.stringify(Object.fromEntries(right));
    return {
      method,
      path,
      headers: { ...(fields && type), authorization: `#${credential}`, ...headers },
      ...(fields && { body: text.replace('THE-ID', String(id)) }),
    };
  });

/** As a form would hold it. */
const asText = (inner: unknown): string => (typeof inner === 'string' ? inner : JSON.stringify(inner));

const withoutNothing = (fields: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(fields).filter(([, inner]) => inner !== undefined));

/** The same with some headers sent twice. */
export const request = fc
  .tuple(
    fc.oneof({ weight: 2, arbitrary: wild }, { weight: 3, arbitrary: near }),
    fc.option(fc.tuple(fc.constantFrom('accept', 'authorization', 'content-type', 'prefer', 'x-twice'), headerText), {
      freq: 9,
    }),
  )
  .map(([sent, twice]): Sent => {
    const [name, text] = twice ?? [];
    const said = name === undefined ? undefined : sent.headers?.[name];
    return name === undefined || text === undefined
      ? sent
      : { ...sent, headers: { ...sent.headers, [name]: [String(said ?? ''), text] } };
  });
