// Compares what clients were told with the database, at the end of a run: the tables, the change log, and what every subscriber has received.
import { setTimeout as pause } from 'node:timers/promises';

const TITLES = { Todo: 'title', Note: 'title', Post: 'title', ChatMessage: 'message' };
const ACTIONS = { INSERT: 'CREATED', UPDATE: 'UPDATED', DELETE: 'DELETED' };
const SETTLE_MS = 60_000;
const LOOK_INTERVAL_MS = 200;
/** A process that lived shorter than this is not judged by its memory. */
const JUDGED_S = 150;
const WARM_UP_S = 30;
/** How much larger the last third of the samples may be than the middle one: what V8 takes and gives back by itself. */
const MEMORY_RATIO = 1.15;
const MEMORY_SLACK_MIB = 16;

/** Returns the rows of the change log, with their images. */
async function readLog(postgres) {
  const rows = await postgres.rows(
    `SELECT "seq"::float8 AS "seq", "model", "rowId", "action", "before", "after" FROM "Change" WHERE "model" = ANY ($1) ORDER BY "seq"`,
    [Object.keys(TITLES)],
  );
  return rows.map((row) => ({ ...row, before: JSON.parse(row.before), after: JSON.parse(row.after) }));
}

/** Whether a change is one of those that a subscriber of this stream may see. */
function concerns({ model, chat, caller }, change) {
  const image = change.after ?? change.before;
  if (change.model !== model) {
    return false;
  }
  if (chat) {
    return image.chatSessionId === chat.id;
  }
  return model === 'Post' || image.ownerId === caller.id;
}

/** Every acknowledged write is in the log, and what the log says is what the tables contain. */
async function checkWrites({ journal, postgres, log }) {
  const written = new Map();
  const last = new Map();
  for (const { model, rowId, action, after } of log) {
    const title = after?.[TITLES[model]] ?? last.get(`${model} ${rowId}`);
    const key = `${model} ${action} ${title}`;
    written.set(key, (written.get(key) ?? 0) + 1);
    last.set(`${model} ${rowId}`, after === null ? undefined : title);
  }
  for (const { model, action, title } of journal.acknowledged) {
    const times = written.get(`${model} ${action} ${title}`) ?? 0;
    if (times === 0) {
      journal.find('writes', `${model} ${title}: the acknowledged ${action} is not in the log.`);
    } else if (action === 'INSERT' && times > 1) {
      journal.find('writes', `${model} ${title} was inserted ${times} times, with one idempotency key.`);
    }
  }
  for (const [model, column] of Object.entries(TITLES)) {
    const rows = await postgres.rows(`SELECT "id", "${column}" AS "title" FROM "${model}"`);
    const expected = [...last].filter(([key, title]) => key.startsWith(`${model} `) && title !== undefined);
    const titles = new Map(rows.map(({ id, title }) => [`${model} ${id}`, title]));
    for (const [key, title] of expected) {
      if (titles.get(key) !== title) {
        journal.find('writes', `${key} is ${titles.get(key)} in its table, and ${title} in the log.`);
      }
    }
    if (rows.length !== expected.length) {
      journal.find('writes', `${model} has ${rows.length} rows, and ${expected.length} in the log.`);
    }
  }
}

/** A todo changed its `completed` at least as often as that was acknowledged. */
function checkToggles({ journal, log }) {
  const state = new Map();
  const changes = new Map();
  for (const { rowId, after } of log.filter(({ model, after }) => model === 'Todo' && after)) {
    if (Boolean(state.get(rowId)) !== after.completed) {
      const counts = changes.get(rowId) ?? { true: 0, false: 0 };
      counts[after.completed] += 1;
      changes.set(rowId, counts);
    }
    state.set(rowId, after.completed);
  }
  for (const [id, acknowledged] of journal.toggles) {
    const counts = changes.get(Number(id));
    for (const value of [true, false]) {
      if ((counts?.[value] ?? 0) < acknowledged[value]) {
        journal.find(
          'writes',
          `Todo ${id} became ${value} ${counts?.[value] ?? 0} times, acknowledged ${acknowledged[value]} times.`,
        );
      }
    }
  }
}

/** A subscriber has exactly the changes since its first cursor that it may see, each with its contents. */
function checkStream(stream, log, journal) {
  const { topic, name, since } = stream;
  const column = topic.title;
  const expected = log.filter((change) => change.seq > since && concerns(stream, change));
  const received = new Map(stream.events.map((event) => [event.seq, event]));
  for (const { seq, action, rowId, after } of expected) {
    const event = received.get(seq);
    received.delete(seq);
    const title = after?.[column] ?? null;
    if (!event) {
      journal.find('events', `${name} has not received ${seq}: ${action} of ${rowId}, ${title}.`);
    } else if (event.action !== ACTIONS[action] || event.id !== rowId || event.title !== title) {
      journal.find('events', `${name}: ${JSON.stringify(event)} is not ${action} of ${rowId}, ${title}.`);
    }
  }
  for (const event of received.values()) {
    journal.find('events', `${name} received what it did not ask for: ${JSON.stringify(event)}.`);
  }
}

/** Waits until all streams have reached the end of the log, and compares everything. Call it when nothing writes any more. */
export async function consult({ journal, postgres, streams }) {
  const log = await readLog(postgres);
  const last = new Map(streams.map((stream) => [stream, log.findLast((change) => concerns(stream, change))?.seq ?? 0]));
  const since = performance.now();
  const isBehind = () => streams.some((stream) => stream.position < last.get(stream));
  while (isBehind() && performance.now() - since < SETTLE_MS) {
    await pause(LOOK_INTERVAL_MS);
  }
  const settledMs = performance.now() - since;
  // What should not arrive arrives now.
  await pause(LOOK_INTERVAL_MS * 5);
  await checkWrites({ journal, postgres, log });
  checkToggles({ journal, log });
  for (const stream of streams) {
    checkStream(stream, log, journal);
  }
  journal.judgeFailures();
  return { changes: log.length, settledMs };
}

const mean = (samples) => samples.reduce((sum, { memory }) => sum + memory, 0) / samples.length;

/** The slope of a line through the samples `{atS, memory}`, in MiB a minute. */
function slopeOf(samples) {
  const middle = samples.reduce((sum, { atS }) => sum + atS, 0) / samples.length;
  const level = mean(samples);
  const over = samples.reduce((sum, { atS, memory }) => sum + (atS - middle) * (memory - level), 0);
  return (60 * over) / samples.reduce((sum, { atS }) => sum + (atS - middle) ** 2, 0);
}

/** Compares the memory of each process in the last third of its life with that in the middle third. Returns the figures of those that lived long enough. */
export function judgeMemory(journal, samplesByProcess) {
  return [...samplesByProcess].map(([name, all]) => {
    const [first] = all;
    const samples = all.filter(({ atS }) => atS >= first.atS + WARM_UP_S);
    const livedS = all.at(-1).atS - first.atS;
    const figures = { name, 'lived s': Math.round(livedS), 'MiB at the end': Math.round(all.at(-1).memory) };
    if (samples.length < 6) {
      return figures;
    }
    const third = Math.floor(samples.length / 3);
    const middle = mean(samples.slice(third, 2 * third));
    const end = mean(samples.slice(2 * third));
    const isJudged = livedS >= JUDGED_S;
    if (isJudged && end > middle * MEMORY_RATIO + MEMORY_SLACK_MIB) {
      journal.find('memory', `${name} grew from ${middle.toFixed(0)} to ${end.toFixed(0)} MiB.`);
    }
    const rounded = { 'middle third': Math.round(middle), 'last third': Math.round(end) };
    return { ...figures, ...rounded, 'MiB/min': slopeOf(samples).toFixed(2), judged: isJudged };
  });
}
