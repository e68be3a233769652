/** The organisation that all simulations of a process share: making one takes longer than a run. */
import { drawFrom } from './crypto.ts';
import { type Authority, createOrganisation, generateKeys, issueNode } from '../../mesh/authority.ts';
import { generateSealKey } from '../../mesh/authority.ts';
import { type NodeIdentity, verifyIdentity } from '../../mesh/certificate.ts';
import type { Credential } from '../../mesh/grant.ts';
import type { Role } from '../../mesh/names.ts';
import { fakeUser } from '../fakes/organisation.ts';
import { start_ms } from './clock.ts';
import { Random } from './random.ts';

export interface SimKeys {
  readonly identity: NodeIdentity;
  readonly issuers: Uint8Array[];
  readonly key: CryptoKey;
  readonly sealKey: string;
}

export interface Org {
  readonly authority: Authority;
  readonly users: readonly Credential[];
  /** Keys of a node, the same whenever they are asked for. */
  node(name: string, site: string, roles: readonly Role[]): Promise<SimKeys>;
}

const issued_ms = start_ms - 24 * 3600_000;
const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

/** A PeerId as Ed25519 keys have one: base58btc of an identity multihash of the key's protobuf. */
function peerIdFrom(key: Uint8Array): string {
  let number = BigInt(`0x002408011220${key.toHex()}`);
  let text = '';
  for (; number > 0n; number /= 58n) text = alphabet[Number(number % 58n)] + text;
  return `1${text}`;
}

let made: Promise<Org> | undefined;

/** Whoever calls it draws its own randomness afterwards: what the organisation took of it differs. */
export function organisation(): Promise<Org> {
  return made ??= make();
}

async function make(): Promise<Org> {
  const random = new Random('organisation');
  drawFrom(random);
  const { authority } = await createOrganisation('Simulation', issued_ms);
  const users = [
    await fakeUser(authority, 'ada', issued_ms),
    await fakeUser(authority, 'bob', issued_ms),
  ];
  const known = new Map<string, SimKeys>();
  const node: Org['node'] = async (name, site, roles) => {
    const there = known.get(name);
    if (there !== undefined) return there;
    const own = new Random(`node ${name}`);
    drawFrom(own);
    const peerId = peerIdFrom(own.bytes(32));
    const { publicKey, privateKey: key } = await generateKeys();
    const sealKey = await generateSealKey();
    const leaf = await issueNode(authority, { name, site, peerId, roles, publicKey }, issued_ms);
    const issuers = [authority.meshIssuer.der];
    const identity = await verifyIdentity(authority.trust, leaf, issuers, start_ms);
    if (identity.kind !== 'node') throw new TypeError('not a node');
    const keys = { identity, issuers, key, sealKey };
    known.set(name, keys);
    return keys;
  };
  return { authority, users, node };
}
