// The schema of the peers, and resolvers that read and write by Prisma: what their documentation shows, with no authentication.
const url = process.env.PEER_DATABASE_URL;

async function clientOptions() {
  if (url.startsWith('file:')) {
    const { PrismaBetterSqlite3 } = await import('@prisma/adapter-better-sqlite3');
    return { adapter: new PrismaBetterSqlite3({ url }) };
  }
  const { PrismaPg } = await import('@prisma/adapter-pg');
  return { adapter: new PrismaPg({ connectionString: url }) };
}

const client = url.startsWith('file:') ? 'client' : 'postgres-client';
const { PrismaClient } = await import(`../../dist/generated/${client}/client.js`);

export const prisma = new PrismaClient(await clientOptions());

export const typeDefs = `
  type User { id: ID! username: String! }
  type Todo { id: ID! title: String! completed: Boolean! }
  type Post { id: ID! title: String! author: User }
  type Posts { nodes: [Post!]! }
  input TodoInput { completed: Boolean }
  type Query { todo(id: ID!): Todo posts(first: Int!): Posts! }
  type Mutation { updateTodo(id: ID!, input: TodoInput!): Todo! }
`;

export const resolvers = {
  Query: {
    todo: (_root, { id }) => prisma.todo.findUnique({ where: { id: Number(id) } }),
    posts: async (_root, { first }) => ({
      nodes: await prisma.post.findMany({ take: first, orderBy: { id: 'asc' }, include: { author: true } }),
    }),
  },
  Mutation: {
    updateTodo: (_root, { id, input }) => prisma.todo.update({ where: { id: Number(id) }, data: input }),
  },
};
