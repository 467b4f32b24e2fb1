import { useMutation } from 'react-relay';
import type { GraphQLTaggedNode, MutationParameters } from 'relay-runtime';

/** `useMutation` with a promise, which is rejected when the request fails. */
export function useRequest<Mutation extends MutationParameters>(mutation: GraphQLTaggedNode) {
  const [commit] = useMutation<Mutation>(mutation);
  return (variables: Mutation['variables']): Promise<Mutation['response']> =>
    new Promise((resolve, reject) => {
      commit({
        variables,
        onCompleted: (response, errors) => (errors?.[0] ? reject(new Error(errors[0].message)) : resolve(response)),
        onError: reject,
      });
    });
}
