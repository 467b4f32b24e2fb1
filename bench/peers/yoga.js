import { createServer } from 'node:http';
import SchemaBuilder from '@pothos/core';
import PrismaPlugin from '@pothos/plugin-prisma';
import { createYoga } from 'graphql-yoga';
import { getDatamodel } from '../../dist/generated/pothos.js';
import { announce } from './announce.js';
import { prisma } from './schema.js';

const builder = new SchemaBuilder({ plugins: [PrismaPlugin], prisma: { client: prisma, dmmf: getDatamodel() } });
builder.prismaObject('User', {
  fields: (t) => ({ id: t.exposeID('id'), username: t.exposeString('username') }),
});
builder.prismaObject('Todo', {
  fields: (t) => ({
    id: t.exposeID('id'),
    title: t.exposeString('title'),
    completed: t.exposeBoolean('completed'),
  }),
});
const post = builder.prismaObject('Post', {
  fields: (t) => ({ id: t.exposeID('id'), title: t.exposeString('title'), author: t.relation('author') }),
});
const posts = builder.objectRef('Posts').implement({
  fields: (t) => ({
    nodes: t.prismaField({
      type: [post],
      resolve: (query, { first }) => prisma.post.findMany({ ...query, take: first, orderBy: { id: 'asc' } }),
    }),
  }),
});
const input = builder.inputType('TodoInput', { fields: (t) => ({ completed: t.boolean() }) });
builder.queryType({
  fields: (t) => ({
    todo: t.prismaField({
      type: 'Todo',
      nullable: true,
      args: { id: t.arg.id({ required: true }) },
      resolve: (query, _root, { id }) => prisma.todo.findUnique({ ...query, where: { id: Number(id) } }),
    }),
    posts: t.field({
      type: posts,
      args: { first: t.arg.int({ required: true }) },
      resolve: (_root, { first }) => ({ first }),
    }),
  }),
});
builder.mutationType({
  fields: (t) => ({
    updateTodo: t.prismaField({
      type: 'Todo',
      args: { id: t.arg.id({ required: true }), input: t.arg({ type: input, required: true }) },
      resolve: (query, _root, { id, input: data }) => prisma.todo.update({ ...query, where: { id: Number(id) }, data }),
    }),
  }),
});

const server = createServer(createYoga({ schema: builder.toSchema(), logging: false }));
server.listen(0, '127.0.0.1', () => announce(server.address()));
