// The operations that the package sends by itself. The build writes them to `operations.json`, for the list of allowed operations of a server.

const PAIR = '... on TokenPair { token refreshToken user { username } } ... on Error { message }';

export const POSITION = 'query Position { cursor }';
export const VIEWER = 'query Viewer { viewer { username } }';
export const RENEW_CONNECTION =
  'mutation RenewConnection($token: String!) { renewConnection(token: $token) { __typename ... on Error { message } } }';
export const OBTAIN_TOKEN = `mutation ObtainToken($input: LoginInput!) { obtainToken(input: $input) { __typename ${PAIR} } }`;
export const REFRESH_TOKEN = `mutation RefreshToken($token: String!) { refreshToken(refreshToken: $token) { __typename ${PAIR} } }`;
export const END_SESSION = 'mutation EndSession { destroyAuthToken }';
export const SIGN_IN =
  'mutation SignIn($input: LoginInput!) { signIn(input: $input) { __typename ... on User { username } ... on Error { message } } }';
export const SIGN_OUT = 'mutation SignOut { signOut }';
