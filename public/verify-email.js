import { carryOut } from './account.js';

carryOut('page:verifyEmail', (token) => ({ token }), 'Your email address is confirmed.');
