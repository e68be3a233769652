/** How errors are told over HTTP. */
import type { Code } from '../mesh/errors.ts';

/** The status of each code (RFC 9110 section 15). */
export const httpStatus = {
  'bad-request': 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  busy: 409,
  conflict: 409,
  'too-large': 413,
  corrupt: 422,
  internal: 500,
  unavailable: 503,
  timeout: 504,
} as const satisfies Record<Code, number>;
