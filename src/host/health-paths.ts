/** The paths of health checks, which supervisors and load balancers call every few seconds. They are answered under overload and for any host. */
export const HEALTH_PATHS: ReadonlySet<string | undefined> = new Set(['/health', '/ready']);
