import { parseSetCookie, type SetCookie } from 'cookie';
import { expect } from 'vitest';

// biome-ignore lint/suspicious/noExplicitAny: the tests look into answers of many shapes, and a wrong shape fails the test.
type Anything = any;

export interface GraphQLAnswer<Data = Anything> {
  readonly status: number;
  readonly headers: Headers;
  readonly data?: Data | null;
  readonly errors?: readonly {
    message: string;
    path?: readonly (string | number)[];
    extensions?: Record<string, Anything>;
  }[];
}

/** Somebody who calls the server over HTTP, with or without a credential. */
export class Person {
  readonly url: string;
  /** The value of the `Authorization` header, or null for an anonymous caller. */
  readonly authorization: string | null;
  readonly username: string;
  /** Headers of all requests. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    url: string,
    authorization: string | null,
    username: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    this.url = url;
    this.authorization = authorization;
    this.username = username;
    this.headers = headers;
  }

  /** The same person with another `Authorization` header. */
  with(authorization: string | null): Person {
    return new Person(this.url, authorization, this.username, this.headers);
  }

  /** The same person at another IP address, to a server that trusts one proxy. */
  from(address: string): Person {
    return new Person(this.url, this.authorization, this.username, { 'x-forwarded-for': address });
  }

  async signIn(username: string, password: string): Promise<Person> {
    const { obtainToken } = await this.gql(
      `mutation ($input: LoginInput!) { obtainToken(input: $input) { ... on TokenPair { token } ... on Error { message } } }`,
      { input: { username, password } },
    );
    expect(obtainToken).toHaveProperty('token');
    return new Person(this.url, `Bearer ${obtainToken.token}`, username, this.headers);
  }

  /** Sends one operation and gives the whole answer, errors included. */
  async ask(query: string, variables: Record<string, unknown> = {}): Promise<GraphQLAnswer> {
    const response = await this.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    });
    return { status: response.status, headers: response.headers, ...((await response.json()) as object) };
  }

  /** Sends one operation, expects no top-level error, and gives the data. */
  async gql(query: string, variables: Record<string, unknown> = {}): Promise<Anything> {
    const answer = await this.ask(query, variables);
    expect(answer.errors, `${query}\n${JSON.stringify(answer)}`).toBeUndefined();
    return answer.data;
  }

  /** The code of the only top-level error that an operation answers with. */
  async codeOf(query: string, variables: Record<string, unknown> = {}): Promise<string | undefined> {
    const answer = await this.ask(query, variables);
    expect(answer.errors, JSON.stringify(answer)).toHaveLength(1);
    return answer.errors?.[0]?.extensions?.['code'];
  }

  /** Any request, with the person's credential. */
  fetch(path: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, {
      ...init,
      headers: { ...this.headers, ...(this.authorization && { authorization: this.authorization }), ...init.headers },
    });
  }
}

export const SIGN_IN = `mutation ($input: LoginInput!) {
  signIn(input: $input) { __typename ... on User { username } ... on Error { message } }
}`;

/** The cookies that an answer sets. */
export function cookiesOf({ headers }: { readonly headers: Headers }): SetCookie[] {
  return headers.getSetCookie().map((text) => parseSetCookie(text));
}

/** What a page of the server sends with each request, once it has these cookies. */
export function pageHeaders(url: string, cookie: string | null = null): Record<string, string> {
  return { origin: new URL(url).origin, ...(cookie !== null && { cookie }) };
}

/** Signs in with a page of the server, which sends `headers` as well; gives the cookie as such a page sends it. */
export async function signInCookie(
  url: string,
  username: string,
  { password = 'a good long password', headers = {} }: { password?: string; headers?: Record<string, string> } = {},
): Promise<string> {
  const answer = await new Person(url, null, '', { ...pageHeaders(url), ...headers }).ask(SIGN_IN, {
    input: { username, password },
  });
  expect(answer.data?.signIn, JSON.stringify(answer)).toEqual({ __typename: 'User', username });
  const [cookie] = cookiesOf(answer);
  return `${cookie?.name}=${cookie?.value}`;
}

/** Somebody whose page is signed in by a cookie. */
export async function signInPage(url: string, username: string, headers: Record<string, string> = {}): Promise<Person> {
  const cookie = await signInCookie(url, username, { headers });
  return new Person(url, null, username, { ...pageHeaders(url, cookie), ...headers });
}

/** What only somebody who looks behind the server could know: locations in its code, its statements, its libraries. */
export const INSIDES =
  /node_modules|file:\/\/|\/(src|dist)\/\S*\.[cm]?[jt]s|\.[cm]?[jt]s:\d+|(\n|\\n)\s+at |prisma|SQLITE_|SELECT .*FROM|INSERT INTO|UPDATE "|DELETE FROM|ECONN/i;

/** How an answer owns up to a defect of the server, without saying which. */
export const DEFECT = /Unexpected error|"INTERNAL"/;
