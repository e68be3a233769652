/** The response headers of pages: what a browser may do with them, which is little. */
import type { MiddlewareHandler } from 'hono';

const policies = {
  // the phone's script fills in forms itself, and sends none
  phone: {
    ...{ 'script-src': "'self'", 'connect-src': "'self'", 'manifest-src': "'self'", 'worker-src': "'self'" },
    'form-action': "'none'",
  },
  panel: { 'form-action': "'self'" },
} as const;

/** Content Security Policy level 3, and the older headers that say parts of it. */
export function headers(kind: keyof typeof policies): MiddlewareHandler {
  const policy = {
    ...{ 'default-src': "'none'", 'style-src': "'self'", 'img-src': "'self'", 'base-uri': "'none'" },
    'frame-ancestors': "'none'",
    ...policies[kind],
  };
  const csp = Object.entries(policy).map(([name, value]) => `${name} ${value}`).join('; ');
  return async (c, next) => {
    await next();
    c.header('content-security-policy', csp);
    c.header('x-content-type-options', 'nosniff');
    c.header('x-frame-options', 'DENY');
    // forms then say where they come from (Fetch, section 3.1), which none does with no-referrer
    c.header('referrer-policy', 'same-origin');
    c.header('cross-origin-opener-policy', 'same-origin');
    c.header('cross-origin-resource-policy', 'same-origin');
    c.header('permissions-policy', 'camera=(), microphone=(), geolocation=()');
  };
}
