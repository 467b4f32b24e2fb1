import { carryOut } from './account.js';

carryOut(
  'mutation ($token: String!) { result: verifyEmail(token: $token) { ... on Error { message } } }',
  (token) => ({ token }),
  'Your email address is confirmed.',
);
