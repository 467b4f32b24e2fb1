interface TodoItemProps {
  readonly title: string;
  readonly completed: boolean;
  readonly onToggle: () => void;
  readonly onDelete: () => void;
}

export function TodoItem({ title, completed, onToggle, onDelete }: TodoItemProps) {
  return (
    <li>
      <label>
        <input type="checkbox" checked={completed} onChange={onToggle} /> {title}
      </label>
      <button type="button" aria-label={`Delete ${title}`} onClick={onDelete}>
        ×
      </button>
    </li>
  );
}
