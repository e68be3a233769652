/** How printers are asked by SNMP: a part of the node's configuration file, which is the only place where its secrets are. */
import * as v from 'valibot';
import { integer, text } from '../../mesh/codec.ts';

/** USM derives keys from passwords of at least so many characters (RFC 3414 section 11.2) */
const password = v.pipe(text(255), v.minLength(8));

export const snmpSettings = v.pipe(
  v.strictObject({
    /** without it: 3 where there is a user, else 2c, and 1 where a printer does not answer that */
    version: v.optional(v.picklist(['1', '2c', '3'])),
    community: v.optional(text(255), 'public'),
    /** of SNMPv3, with authentication always, and with privacy where there is a `privKey` */
    user: v.optional(text(32)),
    authProtocol: v.optional(v.picklist(['md5', 'sha', 'sha224', 'sha256', 'sha384', 'sha512']), 'sha'),
    authKey: v.optional(password),
    privProtocol: v.optional(v.picklist(['aes', 'aes256b', 'aes256r']), 'aes'),
    privKey: v.optional(password),
    port: v.optional(integer(1, 65535), 161),
    /** hear traps on UDP port `trapPort`: a printer that sends one is asked anew at once */
    traps: v.optional(v.boolean(), false),
    trapPort: v.optional(integer(1, 65535), 162),
  }),
  v.check(
    ({ version, user, authKey }) =>
      (version ?? (user === undefined ? '2c' : '3')) !== '3' || (user !== undefined && authKey !== undefined),
    'SNMPv3 needs user and authKey',
  ),
);

export type Version = '1' | '2c' | '3';

export type SnmpSettings = v.InferOutput<typeof snmpSettings>;

/** The versions to try: what is protected is never tried without its protection. */
export function versionsOf({ version, user }: SnmpSettings): readonly Version[] {
  if (version !== undefined) return [version];
  return user === undefined ? ['2c', '1'] : ['3'];
}
