import type { Slice } from '../slice.ts';
import { defineAudit } from './schema.ts';
import { removeExpiredAuditEntries } from './service.ts';

/** The audit of acts on accounts. */
export const audit: Slice = {
  models: { AuditEntry: null },
  schema: [defineAudit],
  removeExpired: (database, config, stopping) => removeExpiredAuditEntries(database, config.audit, stopping),
};
