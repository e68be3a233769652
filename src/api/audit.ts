/** API route of the audit trail: for administrators, newest first. */
import type { Context } from 'hono';
import * as v from 'valibot';
import { check, integer } from '../../mesh/codec.ts';
import type { Audit } from '../audit.ts';
import { auditLimits } from '../limits.ts';
import { type Api, type ApiEnv, requireAdmin } from './app.ts';

const limit = v.pipe(
  v.string(),
  v.regex(/^\d{1,6}$/),
  v.transform(Number),
  integer(1, auditLimits.maxListed),
);

export function auditRoutes(api: Api, audit: Pick<Audit, 'list'>): void {
  api.get('/v1/audit', (c: Context<ApiEnv>) => {
    requireAdmin(c);
    return c.json(audit.list(check(limit, c.req.query('limit') ?? '1000')));
  });
}
