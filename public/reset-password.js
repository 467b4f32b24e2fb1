import { carryOut } from './account.js';

carryOut(
  `mutation ($input: ResetPasswordInput!) {
    result: resetPassword(input: $input) { ... on Error { message } ... on ValidationError { fields { message } } }
  }`,
  (token) => ({ input: { token, newPassword: document.getElementById('password').value } }),
  'Your password is set. Sign in with it.',
);
