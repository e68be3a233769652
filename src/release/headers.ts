/** The response headers of pages: what a browser may do with them, which is little. */
import type { MiddlewareHandler } from 'hono';

const common = {
  ...{ 'default-src': "'none'", 'style-src': "'self'", 'img-src': "'self'", 'base-uri': "'none'" },
  'frame-ancestors': "'none'",
};

/** Content Security Policy level 3 */
const policies = {
  // its script fills in forms itself, and sends none
  phone: csp({
    ...{ 'script-src': "'self'", 'connect-src': "'self'", 'manifest-src': "'self'", 'worker-src': "'self'" },
    'form-action': "'none'",
  }),
  panel: csp({ 'form-action': "'self'" }),
} as const;

function csp(more: Readonly<Record<string, string>>): string {
  return Object.entries({ ...common, ...more }).map(([name, value]) => `${name} ${value}`).join('; ');
}

/** The policy of each page, and the older headers that say parts of it. */
export const headers: MiddlewareHandler = async (c, next) => {
  await next();
  const kind = /^\/panel(?:\/|$)/.test(c.req.path) ? 'panel' : 'phone';
  c.header('content-security-policy', policies[kind]);
  c.header('x-content-type-options', 'nosniff');
  c.header('x-frame-options', 'DENY');
  // forms then say where they come from (Fetch, section 3.1), which none does with no-referrer
  c.header('referrer-policy', 'same-origin');
  c.header('cross-origin-opener-policy', 'same-origin');
  c.header('cross-origin-resource-policy', 'same-origin');
  c.header('permissions-policy', 'camera=(), microphone=(), geolocation=()');
};
