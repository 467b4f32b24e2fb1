import type { PrismaClient } from '../generated/client/client.ts';

/** The Prisma client, of the same type for both databases. */
export type Database = PrismaClient;

/** The Prisma client of a running transaction. */
export type Transaction = Parameters<Parameters<Database['$transaction']>[0]>[0];
