import fc from 'fast-check';
import { messagesOf, TOPICS, Watcher } from './watcher.ts';
import { type Actor, NAMES, type World } from './world.ts';

/** What the steps of a run work on. */
export interface Stage {
  readonly world: World;
  readonly watchers: Watcher[];
  /** The uris of chats, and the ids of rows that were made lately, whoever may see them. */
  readonly chats: string[];
  readonly recent: Record<'todo' | 'todoList' | 'note' | 'post' | 'message', string[]>;
  /** Transactions that are still open. */
  readonly slow: Promise<void>[];
}

/** One step, as data; numbers choose among what is there when it is run. */
export interface Step {
  readonly kind: keyof typeof STEPS;
  readonly actor: number;
  readonly pick: number;
  readonly node: number;
}

type Perform = (stage: Stage, step: Step) => Promise<unknown>;

const RECENT = 12;
const MAX_WATCHERS = 20;
/** How many rows a bulk write has: more than are read from the log at once. */
const BULK = 700;

function chosen<Item>(items: readonly Item[], index: number): Item | undefined {
  return items[index % items.length];
}

function actorOf({ world }: Stage, { actor }: Step): Actor {
  return chosen(world.actors, actor) ?? { name: '', id: null, isStaff: false, authorization: null };
}

/** Sends a mutation as the actor of the step; being refused is an answer as good as any. */
async function send(
  stage: Stage,
  step: Step,
  mutation: string,
): Promise<Record<string, { id?: string; uri?: string }> | null> {
  const { data } = await stage.world.caller(actorOf(stage, step), step.node).ask(`mutation { ${mutation} }`);
  return (data as Record<string, { id?: string; uri?: string }> | null) ?? null;
}

async function make(stage: Stage, step: Step, kind: keyof Stage['recent'], mutation: string): Promise<void> {
  const made = await send(stage, step, `it: ${mutation}`);
  const id = made?.['it']?.id;
  if (id) {
    stage.recent[kind].push(id);
    stage.recent[kind].splice(0, stage.recent[kind].length - RECENT);
  }
}

const idOf = (stage: Stage, kind: keyof Stage['recent'], { pick }: Step): string =>
  chosen(stage.recent[kind], pick) ?? '1';
const listOf = ({ pick }: Step): string => (pick % 3 === 0 ? 'null' : `"${(pick % 2) + 1}"`);
const emojiOf = ({ pick }: Step): string => (pick % 2 === 0 ? '👍' : '🎉');
const uriOf = ({ chats }: Stage, { pick }: Step): string => chosen(chats, pick) ?? '';
const owner = ({ world }: Stage, { actor }: Step): string => String(chosen(world.actors, actor)?.id ?? 'NULL');
const user = ({ world }: Stage, { pick }: Step): string => String(chosen(world.actors.slice(1), pick)?.id ?? 1);

async function openChat(stage: Stage, step: Step): Promise<string | undefined> {
  const uri = (await send(stage, step, 'it: createChatSession { uri }'))?.['it']?.uri;
  if (uri) {
    stage.chats.push(uri);
  }
  return uri;
}

const STEPS = {
  createTodo: (stage, step) =>
    make(
      stage,
      step,
      'todo',
      `createTodo(input: { title: "t${step.pick}", listId: ${listOf(step)} }) { ... on Todo { id } }`,
    ),
  updateTodo: (stage, step) =>
    send(
      stage,
      step,
      `updateTodo(id: "${idOf(stage, 'todo', step)}", input: { title: "u${step.pick}", listId: ${listOf(step)} }) { __typename }`,
    ),
  completeTodo: (stage, step) =>
    send(
      stage,
      step,
      `updateTodo(id: "${idOf(stage, 'todo', step)}", input: { completed: ${step.pick % 2 === 0} }) { __typename }`,
    ),
  deleteTodo: (stage, step) => send(stage, step, `deleteTodo(id: "${idOf(stage, 'todo', step)}") { __typename }`),
  updateTodos: (stage, step) =>
    send(
      stage,
      step,
      `updateTodos(ids: ${JSON.stringify(stage.recent.todo.slice(-5))}, input: { completed: ${step.pick % 2 === 0} }) { __typename }`,
    ),
  deleteTodos: (stage, step) =>
    send(stage, step, `deleteTodos(ids: ${JSON.stringify(stage.recent.todo.slice(0, 2))}) { __typename }`),
  createList: (stage, step) =>
    make(stage, step, 'todoList', `createTodoList(input: { name: "l${step.pick}" }) { ... on TodoList { id } }`),
  renameList: (stage, step) =>
    send(
      stage,
      step,
      `updateTodoList(id: "${idOf(stage, 'todoList', step)}", input: { name: "m${step.pick}" }) { __typename }`,
    ),
  deleteList: (stage, step) =>
    send(stage, step, `deleteTodoList(id: "${idOf(stage, 'todoList', step)}") { __typename }`),
  createNote: (stage, step) =>
    make(
      stage,
      step,
      'note',
      `createNote(input: { title: "n", description: "", priority: ${step.pick} }) { ... on Note { id } }`,
    ),
  updateNote: (stage, step) =>
    send(
      stage,
      step,
      `updateNote(id: "${idOf(stage, 'note', step)}", input: { priority: ${step.pick} }) { __typename }`,
    ),
  deleteNote: (stage, step) => send(stage, step, `deleteNote(id: "${idOf(stage, 'note', step)}") { __typename }`),
  createPost: (stage, step) =>
    make(stage, step, 'post', `createPost(input: { title: "p${step.pick}", content: "c" }) { ... on Post { id } }`),
  updatePost: (stage, step) =>
    send(
      stage,
      step,
      `updatePost(id: "${idOf(stage, 'post', step)}", input: { content: "d${step.pick}" }) { __typename }`,
    ),
  deletePost: (stage, step) => send(stage, step, `deletePost(id: "${idOf(stage, 'post', step)}") { __typename }`),
  openChat,
  /** A chat with everybody in it, all of whom watch what is said. */
  openCrowdedChat: async (stage, step) => {
    const uri = await openChat(stage, step);
    if (uri) {
      await send(stage, step, `addChatMembers(uri: "${uri}", usernames: ${JSON.stringify(NAMES)}) { __typename }`);
      const watchers = stage.world.actors
        .filter(({ id }) => id !== null)
        .slice(0, Math.max(0, MAX_WATCHERS - stage.watchers.length))
        .map((actor) => new Watcher(stage.world, actor, messagesOf(uri)));
      stage.watchers.push(...watchers);
      await Promise.all(watchers.map((watcher, index) => watcher.connect(step.node + index)));
    }
  },
  joinChat: (stage, step) => send(stage, step, `joinChat(uri: "${uriOf(stage, step)}") { __typename }`),
  leaveChat: (stage, step) => send(stage, step, `leaveChat(uri: "${uriOf(stage, step)}") { __typename }`),
  addMember: (stage, step) =>
    send(
      stage,
      step,
      `addChatMembers(uri: "${uriOf(stage, step)}", usernames: ["${chosen(NAMES, step.pick)}"]) { __typename }`,
    ),
  removeMember: (stage, step) =>
    send(
      stage,
      step,
      `removeChatMember(uri: "${uriOf(stage, step)}", username: "${chosen(NAMES, step.pick)}") { __typename }`,
    ),
  say: (stage, step) =>
    make(
      stage,
      step,
      'message',
      `sendMessage(uri: "${uriOf(stage, step)}", message: "m${step.pick} @${chosen(NAMES, step.pick)}") { ... on ChatMessage { id } }`,
    ),
  reply: (stage, step) =>
    send(
      stage,
      step,
      `sendMessage(uri: "${uriOf(stage, step)}", message: "re", replyTo: "${idOf(stage, 'message', step)}") { __typename }`,
    ),
  edit: (stage, step) =>
    send(
      stage,
      step,
      `updateMessage(id: "${idOf(stage, 'message', step)}", message: "e${step.pick} @${chosen(NAMES, step.actor)}") { __typename }`,
    ),
  unsay: (stage, step) => send(stage, step, `deleteMessage(id: "${idOf(stage, 'message', step)}") { __typename }`),
  react: (stage, step) =>
    send(
      stage,
      step,
      `addReaction(messageId: "${idOf(stage, 'message', step)}", emoji: "${emojiOf(step)}") { __typename }`,
    ),
  unreact: (stage, step) =>
    send(
      stage,
      step,
      `removeReaction(messageId: "${idOf(stage, 'message', step)}", emoji: "${emojiOf(step)}") { __typename }`,
    ),
  renameChat: (stage, step) =>
    send(stage, step, `updateChat(uri: "${uriOf(stage, step)}", title: "c${step.pick}") { __typename }`),

  sqlComplete: ({ world }, { pick }) =>
    world.sql(`UPDATE "Todo" SET "completed" = NOT "completed" WHERE "id" % 3 = ${pick % 3}`),
  sqlGiveTodos: (stage, step) =>
    stage.world.sql(`UPDATE "Todo" SET "ownerId" = ${owner(stage, step)} WHERE "id" % 5 = ${step.pick % 5}`),
  sqlGiveLists: (stage, step) =>
    stage.world.sql(`UPDATE "TodoList" SET "ownerId" = ${owner(stage, step)} WHERE "id" % 3 = ${step.pick % 3}`),
  sqlMoveTodos: ({ world }, { pick }) =>
    world.sql(
      `UPDATE "Todo" SET "listId" = (SELECT min("id") FROM "TodoList" WHERE "id" % 2 = ${pick % 2}) WHERE "id" % 4 = ${pick % 4}`,
    ),
  sqlDeleteTodos: ({ world }, { pick }) => world.sql(`DELETE FROM "Todo" WHERE "id" % 7 = ${pick % 7}`),
  sqlCopyTodos: ({ world }) =>
    world.sql(
      `INSERT INTO "Todo" ("title", "ownerId", "listId") SELECT "title", "ownerId", "listId" FROM "Todo" WHERE "id" IN (SELECT max("id") FROM "Todo" UNION SELECT min("id") FROM "Todo")`,
    ),
  sqlLeave: (stage, step) => stage.world.sql(`DELETE FROM "ChatMember" WHERE "userId" = ${user(stage, step)}`),
  sqlEdit: ({ world }, { pick }) =>
    world.sql(`UPDATE "ChatMessage" SET "message" = 'edited ${pick}' WHERE "id" % 2 = ${pick % 2}`),
  sqlUnsay: ({ world }, { pick }) => world.sql(`DELETE FROM "ChatMessage" WHERE "id" % 5 = ${pick % 5}`),
  sqlReact: ({ world }, { pick }) =>
    world.sql(
      `INSERT INTO "ChatReaction" ("messageId", "chatSessionId", "userId", "emoji")
       SELECT "id", "chatSessionId", "userId", 'x${pick}' FROM "ChatMessage" WHERE "id" % 6 = ${pick % 6} ON CONFLICT DO NOTHING`,
    ),
  sqlUnreact: ({ world }, { pick }) => world.sql(`DELETE FROM "ChatReaction" WHERE "id" % 2 = ${pick % 2}`),
  sqlInBulk: async (stage, step) => {
    await stage.world.sql(
      `WITH RECURSIVE "numbers"("n") AS (SELECT 1 UNION ALL SELECT "n" + 1 FROM "numbers" WHERE "n" < ${BULK})
       INSERT INTO "Todo" ("title", "ownerId") SELECT 'bulk', ${owner(stage, step)} FROM "numbers"`,
    );
    await stage.world.sql(`DELETE FROM "Todo" WHERE "title" = 'bulk'`);
  },
  sqlSlowly: async ({ world, slow }, { pick }) => {
    slow.push(world.sqlSlowly(`UPDATE "Todo" SET "title" = 's${pick}' WHERE "id" % 6 = ${pick % 6}`, pick));
  },
  sqlSaySlowly: async ({ world, slow }, { pick }) => {
    slow.push(world.sqlSlowly(`UPDATE "ChatMessage" SET "message" = 's${pick}' WHERE "id" % 4 = ${pick % 4}`, pick));
  },
  sqlUndone: ({ world }) => world.sqlUndone(`UPDATE "Todo" SET "title" = 'never'; DELETE FROM "Note"`),

  open: async ({ world, watchers, chats }, { actor, pick, node }) => {
    const who = chosen(world.actors, actor);
    const topic = pick % 3 === 0 && chats.length > 0 ? messagesOf(chosen(chats, pick) ?? '') : chosen(TOPICS, pick);
    if (who && topic && watchers.length < MAX_WATCHERS && !(topic.needsAccount && who.id === null)) {
      const watcher = new Watcher(world, who, topic);
      watchers.push(watcher);
      await watcher.connect(node);
    }
  },
  drop: async ({ watchers }, { pick }) => chosen(watchers, pick)?.drop(),
  resume: async ({ watchers }, { pick, node }) => chosen(watchers, pick)?.connect(node),
} as const satisfies Record<string, Perform>;

/** Steps that may run at the same time: those of clients are for each of them one after the other. */
const isWrite = ({ kind }: Step): boolean => !['open', 'openCrowdedChat', 'drop', 'resume'].includes(kind);

const step = fc.record<Step>({
  kind: fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...(Object.keys(STEPS) as Step['kind'][])) },
    {
      weight: 2,
      arbitrary: fc.constantFrom('open', 'drop', 'resume', 'resume', 'say', 'say', 'react', 'edit', 'createTodo'),
    },
  ),
  actor: fc.nat(20),
  pick: fc.nat(1000),
  node: fc.nat(20),
});

/** A run: steps, some of them all at once, and servers that stop in between. */
export const runArbitrary = fc.array(
  fc.oneof(
    { weight: 40, arbitrary: step.map((one) => [one]) },
    { weight: 12, arbitrary: fc.array(step.filter(isWrite), { minLength: 2, maxLength: 6 }) },
    {
      weight: 1,
      arbitrary: fc.record({ restart: fc.constantFrom('SIGTERM', 'SIGKILL', 'fast', 'immediate'), node: fc.nat(5) }),
    },
  ),
  { minLength: 40, maxLength: 80, size: 'max' },
);

export type Run = typeof runArbitrary extends fc.Arbitrary<infer Value> ? Value : never;

/** Stops what can be stopped, a server or the database behind it, and starts it again. */
async function restart(world: World, how: 'SIGTERM' | 'SIGKILL' | 'fast' | 'immediate', node: number): Promise<void> {
  if (how === 'fast' || how === 'immediate') {
    await world.restartDatabase?.(how);
  } else {
    await world.restart(node, how);
  }
}

/** Performs a run; gives how many steps that were. */
export async function perform(stage: Stage, run: Run): Promise<number> {
  let count = 0;
  for (const act of run) {
    if ('restart' in act) {
      await restart(stage.world, act.restart as Parameters<typeof restart>[1], act.node);
      count += 1;
    } else {
      await Promise.all(act.map((one) => STEPS[one.kind](stage, one)));
      count += act.length;
    }
  }
  await Promise.all(stage.slow);
  return count;
}
