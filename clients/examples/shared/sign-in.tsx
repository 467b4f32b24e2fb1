import { useFailure } from './errors.ts';
import { Failure } from './failure.tsx';
import { session } from './server.ts';

export function SignIn() {
  const { message, attempt } = useFailure();
  const signIn = (form: FormData) =>
    attempt(() => session.signIn(String(form.get('username')), String(form.get('password'))));
  return (
    <main>
      <h1>Sign in</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          signIn(new FormData(event.currentTarget));
        }}
      >
        <label>
          Username <input name="username" autoComplete="username" required />
        </label>
        <label>
          Password <input name="password" type="password" autoComplete="current-password" required />
        </label>
        <button type="submit">Sign in</button>
      </form>
      <Failure message={message} />
    </main>
  );
}
