import { parseSetCookie, type SetCookie } from 'cookie';
import { expect } from 'vitest';
import { Person } from './person.ts';

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
