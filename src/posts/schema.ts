import { loadUser, withUsers } from '../accounts/service.ts';
import { NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { defineOrder, orderOf, pageCost, toConnection } from '../graphql/connection.ts';
import { IDEMPOTENCY_KEY, repeatable } from '../graphql/idempotency.ts';
import { LONG_TEXT } from '../graphql/long-texts.ts';
import { asksOfNodes } from '../graphql/look-ahead.ts';
import { nodeOptions } from '../graphql/node.ts';
import { createPost, deletePost, findPost, listPosts, POST_ORDERS, updatePost } from './service.ts';

/** Adds posts: the type, its reads and its writes. */
export function definePosts(builder: Builder): void {
  const post = builder.prismaObject('Post', {
    fields: (t) => ({
      id: t.exposeID('id'),
      title: t.exposeString('title'),
      content: t.exposeString('content', { extensions: LONG_TEXT }),
      createdAt: t.expose('createdAt', { type: 'DateTime' }),
      updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
      author: t.field({
        type: 'User',
        nullable: true,
        description: 'Who wrote it; null when the account is gone.',
        resolve: (post, _args, context) => (post.authorId === null ? null : loadUser(context, post.authorId, post)),
      }),
    }),
  });
  builder.nodeRef(post, nodeOptions(findPost));

  const filter = builder.inputType('PostFilter', {
    description: 'Narrows a list of posts; conditions add up.',
    fields: (t) => ({
      authorId: t.id({ description: 'Only those by this user.' }),
      titleContains: t.string({
        description: 'Only those with this text in their title, in any case of ASCII letters.',
      }),
      createdFrom: t.field({ type: 'DateTime', description: 'Only those made at this instant or later.' }),
      createdBefore: t.field({ type: 'DateTime', description: 'Only those made before this instant.' }),
    }),
  });
  const order = defineOrder(builder, 'Post', POST_ORDERS);

  builder.queryFields((t) => ({
    post: t.field({
      type: post,
      nullable: true,
      authScopes: { signedIn: true },
      description: 'One post, for signed-in users; null when there is none.',
      args: { id: t.arg.id({ required: true, description: 'Its id, as REST has it.' }) },
      resolve: (_root, { id }, context) => findPost(context, id),
    }),
    posts: t.connection(
      {
        type: post,
        authScopes: { signedIn: true },
        description: 'The posts, for signed-in users.',
        complexity: pageCost,
        args: {
          filter: t.arg({ type: filter, description: 'Which of them.' }),
          orderBy: t.arg({ type: order, description: 'In which order; by id when left out.' }),
        },
        resolve: (_root, { filter, orderBy, ...page }, context, info) => {
          const read = listPosts(context, filter, orderOf(orderBy), page);
          return toConnection(
            asksOfNodes(info, 'author') ? withUsers(context, read, ({ authorId }) => authorId) : read,
          );
        },
      },
      { name: 'PostConnection', description: 'A page of posts.' },
      { name: 'PostEdge', description: 'A post at its place in a list.' },
    ),
  }));

  const newPost = builder.inputType('CreatePostInput', {
    description: 'A post to be published.',
    fields: (t) => ({
      title: t.string({ required: true, description: '1 to 50 characters.' }),
      content: t.string({ required: true, description: '1 to 100,000 characters.' }),
    }),
  });
  const changes = builder.inputType('UpdatePostInput', {
    description: 'What changes on a post; a field that is left out stays.',
    fields: (t) => ({
      title: t.string({ description: '1 to 50 characters.' }),
      content: t.string({ description: '1 to 100,000 characters.' }),
    }),
  });

  builder.mutationFields((t) => ({
    createPost: t.field({
      type: post,
      authScopes: { signedIn: true },
      description: 'Publishes a post by the viewer.',
      errors: { types: [ValidationError] },
      args: {
        input: t.arg({ type: newPost, required: true, description: 'The post.' }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: repeatable('createPost', (context, { input }) => createPost(context, input)),
    }),
    updatePost: t.field({
      type: post,
      authScopes: { signedIn: true },
      description: 'Changes a post; its author and staff may.',
      errors: { types: [ValidationError, NotFoundError] },
      args: {
        id: t.arg.id({ required: true, description: 'Which one.' }),
        input: t.arg({ type: changes, required: true, description: 'What changes.' }),
      },
      resolve: (_root, { id, input }, context) => updatePost(context, id, input),
    }),
    deletePost: t.field({
      type: post,
      authScopes: { signedIn: true },
      description: 'Deletes a post and gives what it was; its author and staff may.',
      errors: { types: [NotFoundError] },
      args: { id: t.arg.id({ required: true, description: 'Which one.' }) },
      resolve: (_root, { id }, context) => deletePost(context, id),
    }),
  }));
}
