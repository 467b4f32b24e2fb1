import type { AuditEntry, User } from '../../generated/client/client.ts';

/** The data of one user that an operator sees. */
export interface UserDetails {
  readonly user: User;
  readonly sessions: number;
  readonly keys: number;
  /** The latest acts on the account. */
  readonly acts: readonly AuditEntry[];
}

/** Returns a table of users, one per line. */
export function tableOf(users: readonly User[]): string {
  const rows = [
    ['ID', 'USERNAME', 'STATUS', 'CREATED', 'EMAIL'],
    ...users.map((user) => [
      String(user.id),
      printable(user.username),
      statusOf(user),
      timeOf(user.createdAt),
      printable(user.email),
    ]),
  ];
  const widths = rows[0]?.map((_head, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return lines(rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')));
}

/** Returns the details of one user, one per line, and the latest acts. */
export function detailsOf({ user, sessions, keys, acts }: UserDetails): string {
  return lines([
    `id:            ${user.id}`,
    `username:      ${printable(user.username)}`,
    `name:          ${printable(`${user.firstName} ${user.lastName}`)}`,
    `email:         ${printable(user.email)}`,
    `status:        ${statusOf(user)}`,
    `created:       ${timeOf(user.createdAt)}`,
    `password set:  ${timeOf(user.credentialsChangedAt)}`,
    `sessions:      ${sessions}`,
    `keys:          ${keys}`,
    ...acts.map(
      (act) =>
        `${timeOf(act.at)}  ${act.action} by ${printable(act.actorName) || 'unknown'} (${act.source})${act.details === null ? '' : `, ${printable(act.details)}`}`,
    ),
  ]);
}

function statusOf({ isActive, isStaff }: User): string {
  return [isActive ? 'active' : 'deactivated', ...(isStaff ? ['staff'] : [])].join(', ');
}

/** Returns a time in UTC, to the second. */
function timeOf(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

/** Returns a text of a user in one line, without control characters, which could control the terminal. */
function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '�').trim();
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => text.trimEnd()).join('\n');
}
