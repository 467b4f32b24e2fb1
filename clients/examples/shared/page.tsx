import './styles.css';
import { type ComponentType, StrictMode, useSyncExternalStore } from 'react';
import { createRoot } from 'react-dom/client';
import { Connection } from './connection.tsx';
import { session } from './server.ts';
import { SignIn } from './sign-in.tsx';

/** Shows the todos of the user who is signed in, or the form to sign in. */
export function renderPage(Todos: ComponentType): void {
  createRoot(document.getElementById('root') as HTMLElement).render(
    <StrictMode>
      <Page Todos={Todos} />
    </StrictMode>,
  );
}

function Page({ Todos }: { readonly Todos: ComponentType }) {
  const { username } = useSyncExternalStore(session.subscribe, session.getState);
  if (username === null) {
    return <SignIn />;
  }
  // Signing out needs no answer of the server: without one, the session ends when its tokens expire.
  const signOut = (): void => void session.signOut().catch(() => undefined);
  return (
    <main>
      <header>
        <h1>Todos of {username}</h1>
        <Connection />
        <button type="button" onClick={signOut}>
          Sign out
        </button>
      </header>
      {/* The key: another user has another cache. */}
      <Todos key={username} />
    </main>
  );
}
