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
