import { NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { IDEMPOTENCY_KEY, idempotent } from '../graphql/idempotent-mutation.ts';
import { defineFilter, timeRangeFields, toListFilter } from '../graphql/list-filters.ts';
import { LONG_TEXT } from '../graphql/long-texts.ts';
import { selectsNodeField } from '../graphql/look-ahead.ts';
import { nodeOptions } from '../graphql/node.ts';
import { toDatabaseId } from '../graphql/node-ids.ts';
import { connectionComplexity, defineOrder, toConnection, toOrder } from '../graphql/relay-connection.ts';
import { loadUser, withUsers } from '../identity/named-users.ts';
import { createPost, deletePost, findPost, listPosts, POST_ORDERS, type PostFilter, updatePost } from './service.ts';

/** Defines the type of posts, its queries and its mutations. */
export function definePosts(builder: Builder): void {
  definePostType(builder);
  definePostQueries(builder);
  definePostMutations(builder);
}

function definePostType(builder: Builder): void {
  const post = builder.prismaObject('Post', {
    fields: (t) => ({
      databaseId: t.exposeInt('id'),
      title: t.exposeString('title'),
      content: t.exposeString('content', { extensions: LONG_TEXT }),
      createdAt: t.expose('createdAt', { type: 'DateTime' }),
      updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
      author: t.field({
        type: 'User',
        nullable: true,
        description: 'The user who wrote the post; null when the account was deleted.',
        resolve: (post, _args, context) => (post.authorId === null ? null : loadUser(context, post.authorId, post)),
      }),
    }),
  });
  builder.nodeRef(post, nodeOptions(findPost));
}

function definePostQueries(builder: Builder): void {
  const filter = defineFilter<PostFilter>(builder, 'Post', 'posts', (t) => ({
    authorId: t.id({ description: 'Only posts by the user with this `id`.' }),
    titleContains: t.string({
      description:
        'Only posts whose title contains this text of at most 50 characters; upper and lower case ASCII letters are equal.',
    }),
    ...timeRangeFields(t, 'created', 'posts created'),
    ...timeRangeFields(t, 'updated', 'posts last changed'),
  }));
  const order = defineOrder(builder, 'Post', POST_ORDERS);

  builder.queryFields((t) => ({
    post: t.field({
      type: 'Post',
      nullable: true,
      authScopes: { signedIn: true },
      description: 'A post by its `id`; null when it does not exist. `UNAUTHENTICATED` without a credential.',
      args: { id: t.arg.id({ required: true, description: 'The `id` of the post.' }) },
      resolve: (_root, { id }, context) => findPost(context, toDatabaseId('Post', id)),
    }),
    posts: t.connection(
      {
        type: 'Post',
        authScopes: { signedIn: true },
        description:
          'All posts, page by page. Every signed-in user may read them; `UNAUTHENTICATED` without a credential.',
        complexity: connectionComplexity,
        args: {
          filter: t.arg({ type: filter, description: 'Returns only the posts that meet these conditions.' }),
          orderBy: t.arg({ type: order, description: 'The sort order; by `id`, oldest first, when left out.' }),
        },
        resolve: (_root, { filter, orderBy, ...page }, context, info) => {
          const read = listPosts(context, {
            filter: toListFilter(filter, 'Post', { authorId: 'User' }),
            order: toOrder(orderBy),
            page,
          });
          return toConnection(
            selectsNodeField(info, 'author') ? withUsers(context, read, ({ authorId }) => authorId) : read,
          );
        },
      },
      { name: 'PostConnection', description: 'A page of a list of posts.' },
      { name: 'PostEdge', description: 'A post of a page, with its cursor.' },
    ),
  }));
}

function definePostMutations(builder: Builder): void {
  const newPost = builder.inputType('CreatePostInput', {
    description: 'The fields of a new post.',
    fields: (t) => ({
      title: t.string({
        required: true,
        description: 'The title, 1 to 50 characters; white space around it is removed.',
      }),
      content: t.string({
        required: true,
        description: 'The text of the post, 1 to 100,000 characters; white space around it is removed.',
      }),
    }),
  });
  const changes = builder.inputType('UpdatePostInput', {
    description: 'The fields of a post to change. A field that is left out keeps its value; null is rejected.',
    fields: (t) => ({
      title: t.string({ description: 'The new title, 1 to 50 characters; white space around it is removed.' }),
      content: t.string({
        description: 'The new text of the post, 1 to 100,000 characters; white space around it is removed.',
      }),
    }),
  });

  builder.mutationFields((t) => ({
    createPost: t.field({
      type: 'Post',
      authScopes: { signedIn: true },
      description:
        'Publishes a post whose author is the viewer, for all signed-in users to read. `UNAUTHENTICATED` without a credential.',
      errors: { types: [ValidationError] },
      args: {
        input: t.arg({ type: newPost, required: true, description: 'The fields of the new post.' }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: idempotent('createPost', (context, { input }) => createPost(context, input)),
    }),
    updatePost: t.field({
      type: 'Post',
      authScopes: { signedIn: true },
      description: 'Changes a post of the viewer; staff may change any post. `FORBIDDEN` for other users.',
      errors: { types: [ValidationError, NotFoundError] },
      args: {
        id: t.arg.id({ required: true, description: 'The `id` of the post.' }),
        input: t.arg({ type: changes, required: true, description: 'The fields to change.' }),
      },
      resolve: (_root, { id, input }, context) => updatePost(context, toDatabaseId('Post', id), input),
    }),
    deletePost: t.field({
      type: 'Post',
      authScopes: { signedIn: true },
      description:
        'Deletes a post of the viewer, and returns it as it was; staff may delete any post. `FORBIDDEN` for other users.',
      errors: { types: [NotFoundError] },
      args: { id: t.arg.id({ required: true, description: 'The `id` of the post.' }) },
      resolve: (_root, { id }, context) => deletePost(context, toDatabaseId('Post', id)),
    }),
  }));
}
