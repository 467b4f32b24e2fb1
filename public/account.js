/** The token behind `#token=`: the part of an address that browsers send to no server, and so to no log or other page. */
const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';

/**
 * Has the page's form carry out a mutation that takes the token, and says what came of it.
 *
 * @param {string} documentId the id in operations.json of a mutation with one field, called `result`: an object, or one with a `message` when it was refused
 * @param {(token: string) => object} variablesOf
 * @param {string} success what to say when it was done
 */
export function carryOut(documentId, variablesOf, success) {
  const form = document.getElementById('form');
  const say = (text) => {
    document.getElementById('result').textContent = text;
  };
  // Better before somebody thinks of a password than after.
  if (token === '') {
    form.hidden = true;
    say('This link is not complete. Copy the whole of it from the mail.');
  }
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    say('');
    try {
      const { data, errors } = await send({ documentId, variables: variablesOf(token) });
      const { message, fields = [] } = data?.result ?? { message: errors?.[0]?.message ?? 'That did not work.' };
      form.hidden = message === undefined;
      say(message === undefined ? success : [message, ...fields.map((field) => field.message)].join(' '));
    } catch {
      say('The server cannot be reached. Try again in a moment.');
    }
  });
}

async function send(body) {
  const response = await fetch('/graphql', {
    method: 'POST',
    credentials: 'omit',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify(body),
  });
  return response.json();
}
