/** How often the state is read, in milliseconds. */
const INTERVAL_MS = 10_000;

/** Reads a path as a program does; null when the server cannot be reached. */
const read = (path) =>
  fetch(path, { credentials: 'omit', headers: { accept: 'application/json' } })
    .then((response) => response.json())
    .catch(() => null);

async function showState() {
  const answer = await read('/ready');
  const { status, problem } = answer ?? { status: 'unreachable', problem: 'The server cannot be reached.' };
  const text = status === 'ok' ? 'The server is ready.' : `The server is not ready. ${problem ?? ''}`;
  const ready = document.getElementById('ready');
  document.getElementById('state').dataset.state = status;
  // A screen reader reads the text again whenever it is set.
  if (ready.textContent !== text) {
    ready.textContent = text;
  }
}

async function showVersion() {
  const description = await read('/');
  document.getElementById('version').textContent = description ? `Version ${description.version}` : '';
}

const curl = document.getElementById('curl');
curl.textContent = curl.textContent.replace('http://localhost:8000', location.origin);
showVersion();
showState();
setInterval(() => {
  if (document.visibilityState === 'visible') {
    showState();
  }
}, INTERVAL_MS);
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') {
    showState();
  }
});
