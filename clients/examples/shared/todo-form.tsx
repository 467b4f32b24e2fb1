interface TodoFormProps {
  /** Returns whether the todo was added: its title is then cleared. */
  readonly onAdd: (title: string) => Promise<boolean>;
}

export function TodoForm({ onAdd }: TodoFormProps) {
  return (
    <form
      onSubmit={async (event) => {
        event.preventDefault();
        const form = event.currentTarget;
        if (await onAdd(String(new FormData(form).get('title')))) {
          form.reset();
        }
      }}
    >
      <input name="title" aria-label="Title" />
      <button type="submit">Add</button>
    </form>
  );
}
