// Signs the page in and out. The session is a cookie that no script can read, this one neither; GraphiQL's own requests carry it, too.
const signIn = document.querySelector('#sign-in');
const signOut = document.querySelector('#sign-out');
const problem = document.querySelector('#account-problem');

/** Executes an operation of operations.json. */
async function ask(documentId, variables) {
  const response = await fetch(document.location.pathname, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ documentId, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) {
    throw new Error(errors[0].message);
  }
  return data;
}

function show(username) {
  signIn.hidden = username !== null;
  signOut.hidden = username === null;
  document.querySelector('#username').textContent = username;
}

/** Runs a step after a form was sent, and shows why it failed. */
function whenSent(form, step) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    problem.textContent = '';
    try {
      await step();
    } catch (error) {
      problem.textContent = error.message;
    }
  });
}

whenSent(signIn, async () => {
  const { username, password } = Object.fromEntries(new FormData(signIn));
  const result = (await ask('page:signIn', { input: { username, password } })).signIn;
  signIn.elements.password.value = '';
  if (result.message) {
    throw new Error(result.message);
  }
  show(result.username);
});

whenSent(signOut, async () => {
  await ask('page:signOut');
  show(null);
});

ask('page:viewer').then(
  ({ viewer }) => show(viewer?.username ?? null),
  () => show(null),
);
