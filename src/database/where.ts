/**
 * Whether a row fulfils a Prisma filter, for the filters that policies and subscriptions are made of: equality, `in`, `not`, `AND`, `OR`, `NOT`
 * on columns of the row itself. So one rule serves queries and live events.
 */
export function matches(where: object, row: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(where).every(([name, condition]) => {
    switch (name) {
      case 'AND':
        return list(condition).every((part) => matches(part, row));
      case 'OR':
        return list(condition).some((part) => matches(part, row));
      case 'NOT':
        return !list(condition).every((part) => matches(part, row));
      default:
        return condition === undefined || fulfils(row[name], condition);
    }
  });
}

function list(condition: unknown): readonly object[] {
  return (Array.isArray(condition) ? condition : [condition]) as readonly object[];
}

function fulfils(value: unknown, condition: unknown): boolean {
  if (condition === null || typeof condition !== 'object') {
    return value === condition;
  }
  return Object.entries(condition).every(([operator, operand]) => {
    switch (operator) {
      case 'equals':
        return value === operand;
      case 'not':
        return value !== operand;
      case 'in':
        return Array.isArray(operand) && operand.includes(value);
      default:
        throw new Error(`A row cannot be held against the filter operator ${operator}.`);
    }
  });
}
