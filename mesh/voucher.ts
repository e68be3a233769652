/**
 * Vouchers: what a panel node signs for a user who has shown badge or PIN there. One stands for a grant of that user's,
 * and is checked like one; the other lets a node see the user's tickets. Both are like what users sign,
 *
 *     { certificate, issuers, payload, signature }
 *
 * but with the certificate of a node that has the role `panel`, and with the user in the payload.
 */
import * as v from 'valibot';
import type { NodeIdentity, Trust } from './certificate.ts';
import { bytes, check, integer } from './codec.ts';
import { InkmeshError } from './errors.ts';
import {
  type Credential,
  fresh,
  type Grant,
  grantFields,
  nonceBytes,
  signWith,
  verifySigned,
} from './grant.ts';
import { peerId, printerName, userName } from './names.ts';

const viewPrefix = 'panel:';

const voucherFields = { ...grantFields, user: userName };
const voucherSchema = v.variant('action', [
  v.strictObject({ ...voucherFields, action: v.literal('release'), target: printerName }),
  v.strictObject({ ...voucherFields, action: v.literal('cancel'), target: v.literal('') }),
]);

const viewSchema = v.strictObject({
  user: userName,
  /** PeerId of the node that shows it to holders */
  audience: peerId,
  nonce: bytes(nonceBytes, nonceBytes),
  issued: integer(0, Number.MAX_SAFE_INTEGER),
});

/** A grant, with the user for whom the panel node gives it. */
export interface Voucher extends Grant {
  readonly user: string;
}

/** A panel node's certificate with its issuers, and its key. */
export type Vouching = Pick<Credential, 'certificate' | 'issuers' | 'key'>;

/** Signs a voucher with a fresh nonce, issued `now`. @throws InkmeshError `bad-request` if a field is out of bounds */
export function signVoucher(
  by: Vouching,
  voucher: Omit<Voucher, 'nonce' | 'issued'>,
  now: number,
): Promise<Uint8Array> {
  return signWith(by, 'inkmesh voucher 1', check(voucherSchema, { ...voucher, ...fresh(now) }));
}

/**
 * Reads a voucher and checks who gave it, and when: as long as a grant's. Not checked: that the node and the user are
 * not revoked, that the job is the user's, that the nonce is new.
 * @throws InkmeshError as `verifyGrant`; `forbidden` when the node is no panel node
 */
export async function verifyVoucher(
  trust: Trust,
  bytes: Uint8Array,
  now: number,
): Promise<{ voucher: Voucher; by: NodeIdentity }> {
  const { by, value } = await verifySigned(trust, 'node', 'inkmesh voucher 1', voucherSchema, bytes, now);
  return { voucher: value, by: panelNode(by) };
}

/** What lets the node `audience` see the tickets of a user, where a user's own request would stand: `panel:BASE64URL`. */
export async function signView(by: Vouching, user: string, audience: string, now: number): Promise<string> {
  const record = await signWith(by, 'inkmesh view 1', check(viewSchema, { user, audience, ...fresh(now) }));
  return viewPrefix + record.toBase64({ alphabet: 'base64url', omitPadding: true });
}

/** Whether a proof is a panel node's, not a user's request. */
export const isView = (proof: string): boolean => proof.startsWith(viewPrefix);

/** @throws InkmeshError as `verifyVoucher`; `forbidden` when it is for another node than `audience` */
export async function verifyView(
  trust: Trust,
  proof: string,
  audience: string,
  now: number,
): Promise<{ user: string; by: NodeIdentity }> {
  const record = fromBase64url(proof.slice(viewPrefix.length));
  const { by, value } = await verifySigned(trust, 'node', 'inkmesh view 1', viewSchema, record, now);
  if (value.audience !== audience) {
    throw new InkmeshError('forbidden', 'the panel node has vouched for another node');
  }
  return { user: value.user, by: panelNode(by) };
}

function fromBase64url(text: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(text, { alphabet: 'base64url' });
  } catch (cause) {
    throw new InkmeshError('bad-request', 'what vouches for the user is not base64url', {}, { cause });
  }
}

function panelNode(by: NodeIdentity): NodeIdentity {
  if (by.roles.includes('panel')) return by;
  throw new InkmeshError('forbidden', `the node ${by.name} has not the role panel: it vouches for nobody`);
}
