import { carryOut } from './account.js';

carryOut(
  'page:resetPassword',
  (token) => ({ input: { token, newPassword: document.getElementById('password').value } }),
  'Your password is set. Sign in with it.',
);
