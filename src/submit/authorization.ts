/** What a client shows of itself in an HTTP request: HTTP Basic (RFC 7617), or a bearer token (RFC 6750). */
import type { Shown } from './source.ts';

/** What a client that showed nothing, or something wrong, is asked for. */
export const challenge = 'Basic realm="inkmesh", charset="UTF-8"';

/** @param header Authorization; undefined is returned for none, and for one of another kind */
export function shownBy(header: string | undefined, address: string): Shown | undefined {
  const [, scheme = '', value = ''] = /^(basic|bearer) +([\w.~+/-]+=*) *$/i.exec(header ?? '') ?? [];
  if (scheme.toLowerCase() === 'bearer') return { token: value, user: null, address };
  if (scheme === '') return undefined;
  const [, user = '', token = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(value, 'base64').toString('utf8')) ??
    [];
  return { token, user, address };
}
