// Signs the page up, in and out. The session is a cookie that no script can read, this one neither; GraphiQL's own requests carry it, too.
import { results } from './results.js';

const form = document.querySelector('#sign-in');
const signOut = document.querySelector('#sign-out');
const problem = document.querySelector('#account-problem');

/** Executes an operation of operations.json. */
async function ask(documentId, variables) {
  const response = await fetch(location.pathname, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify({ documentId, variables }),
  }).catch(() => {
    throw new Error('The server cannot be reached. Try again in a moment.');
  });
  const { data, errors } = await response.json().catch(() => {
    throw new Error(`The server answered with the status ${response.status}. Try again in a moment.`);
  });
  if (errors) {
    throw new Error(errors[0].message);
  }
  return data;
}

/** Throws the expected errors of a mutation, in the sentences that it has for the fields of a form. */
function throwErrorOf({ message, fields = [] }) {
  if (message !== undefined) {
    throw new Error(fields.length > 0 ? fields.map((field) => field.message).join(' ') : message);
  }
}

function show(username) {
  form.hidden = username !== null;
  signOut.hidden = username === null;
  document.querySelector('#username').textContent = username;
  if (username !== null) {
    problem.textContent = '';
  }
}

/** Shows who is signed in. While that cannot be read, what was shown stays, or else the form. */
const refresh = () =>
  ask('page:viewer').then(
    ({ viewer }) => show(viewer?.username ?? null),
    () => signOut.hidden && show(null),
  );

/** Runs a step after a form was sent, and shows why it failed. Its buttons wait meanwhile. */
function whenSent(target, step) {
  target.addEventListener('submit', async (event) => {
    event.preventDefault();
    problem.textContent = '';
    const buttons = document.querySelectorAll('#account button');
    for (const button of buttons) {
      button.disabled = true;
    }
    try {
      await step(event.submitter);
    } catch (error) {
      problem.textContent = error.message;
    } finally {
      for (const button of buttons) {
        button.disabled = false;
      }
    }
  });
}

whenSent(form, async (button) => {
  const { username, password } = Object.fromEntries(new FormData(form));
  const variables = { input: { username, password } };
  if (button?.value === 'signUp') {
    throwErrorOf((await ask('page:signUp', variables)).signUp);
  }
  const { signIn } = await ask('page:signIn', variables);
  throwErrorOf(signIn);
  form.elements.password.value = '';
  show(signIn.username);
});

whenSent(signOut, async () => {
  await ask('page:signOut');
  show(null);
});

// The editor and other windows sign in and out as well, and sessions end.
results.addEventListener('result', ({ detail: { data, errors = [] } }) => {
  const isConcerned = ['signIn', 'signOut', 'deactivateViewer', 'updateViewer'].some(
    (field) => data?.[field] !== undefined,
  );
  if (isConcerned || errors.some(({ extensions }) => extensions?.code === 'UNAUTHENTICATED')) {
    refresh();
  }
});
addEventListener('focus', refresh);
refresh();
