import { createSession, createTransport } from 'tidings-client';

const url = import.meta.env['VITE_TIDINGS_URL'] ?? 'http://localhost:8000/graphql';

/** Who is signed in, in all tabs. */
export const session = createSession({ url });

/** The socket of this tab, and the `fetch` that sends the credential of the session. */
export const transport = createTransport({ url, session });
