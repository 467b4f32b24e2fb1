export function Failure({ message }: { readonly message: string | null }) {
  return message === null ? null : <p role="alert">{message}</p>;
}
