import type { LogRule } from './changes/logged-models.ts';
import type { MembershipRule } from './changes/memberships.ts';

/** A domain, as the parts that serve all domains know it. */
export interface Slice {
  /** How the changes of its models are logged, by the name of the model. Models that are left out have no events. */
  readonly log: Readonly<Record<string, LogRule>>;
  /** Its kinds of groups, whose members see what is in them. */
  readonly memberships?: readonly MembershipRule[];
}
