/**
 * Badges and PINs as facts: of each a slow hash, keyed with a key that panel nodes and registrars alone have
 * (mesh/panel-key.ts), so that nobody else who has the facts can try any. The latest counts; an empty one takes it back.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import * as v from 'valibot';
import { bytes, check, encode } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import {
  directoryDoc,
  type Kind,
  type KnownFacts,
  type Mesh,
  type PanelKey,
  panelKeyIdBytes,
  registrarOnly,
  revokedSince,
} from '../../mesh/mod.ts';
import { userName } from '../../mesh/names.ts';
import { panelLimits } from '../limits.ts';
import { slowHash } from './slow-hash.ts';

const saltBytes = 16;
const tagBytes = 32;
const none = v.strictObject({});

const pinBody = v.union([
  v.strictObject({
    salt: bytes(saltBytes, saltBytes),
    /** which key it is kept under */
    key: bytes(panelKeyIdBytes, panelKeyIdBytes),
    tag: bytes(tagBytes, tagBytes),
  }),
  none,
]);
/** Its subject is the name of a user. */
export const pinKind: Kind<typeof pinBody> = { name: 'pin', body: pinBody, check: registrarOnly };

const badgeBody = v.union([
  v.strictObject({ key: bytes(panelKeyIdBytes, panelKeyIdBytes), tag: bytes(tagBytes, tagBytes) }),
  none,
]);
/** Its subject is the name of a user. */
export const badgeKind: Kind<typeof badgeBody> = { name: 'badge', body: badgeBody, check: registrarOnly };

export type PinFact = Extract<v.InferOutput<typeof pinBody>, { salt: Uint8Array }>;
type BadgeFact = Extract<v.InferOutput<typeof badgeBody>, { tag: Uint8Array }>;

/** without those that are taken for each other */
const alphabet = '23456789ABCDEFGHJKMNPQRSTUVWXYZ';

const shown = v.pipe(
  v.string(),
  v.maxLength(panelLimits.maxPinChars),
  v.regex(/^[^\p{C}]*$/u, 'expected printable text'),
);

/** As it is compared: however it is typed. @throws InkmeshError `bad-request` */
const plain = (secret: string) => check(shown, secret.normalize('NFKC').trim().toUpperCase());

/** 6 characters out of 31. */
export function newPin(): string {
  const octets = new Uint8Array(1);
  let pin = '';
  while (pin.length < panelLimits.pinChars) {
    const [octet = 0] = crypto.getRandomValues(octets);
    // each character as likely as any other
    if (octet < 256 - 256 % alphabet.length) pin += alphabet[octet % alphabet.length];
  }
  return pin;
}

/** The PIN of a user; undefined for who has none. */
export function pinOf(known: KnownFacts, user: string): PinFact | undefined {
  const body = known.latest(pinKind.name, user)?.body;
  return body !== undefined && 'salt' in (body as object) ? body as PinFact : undefined;
}

export function badgeOf(known: KnownFacts, user: string): BadgeFact | undefined {
  const body = known.latest(badgeKind.name, user)?.body;
  return body !== undefined && 'tag' in (body as object) ? body as BadgeFact : undefined;
}

/** How many users have a PIN or badge under a key that is not the newest: a panel node that was shut out had it. */
export function outdated(
  { ledger, panel }: Pick<Mesh, 'ledger'> & { panel: Pick<Mesh['panel'], 'keys'> },
): number {
  const [newest] = panel.keys();
  if (newest === undefined) return 0;
  const isOld = (given: { key: Uint8Array } | undefined) =>
    given !== undefined && given.key.toHex() !== newest.id;
  const users = new Set(
    [...ledger.all(pinKind.name), ...ledger.all(badgeKind.name)].map((fact) => fact.subject),
  );
  return [...users].filter((user) =>
    revokedSince(ledger, 'user', user) === undefined &&
    (isOld(pinOf(ledger, user)) || isOld(badgeOf(ledger, user)))
  ).length;
}

export class Verifiers {
  readonly #mesh: Pick<Mesh, 'ledger' | 'panel'>;
  readonly #badgeSalt: Uint8Array;

  /** @param organisation fingerprint of its root */
  constructor(mesh: Pick<Mesh, 'ledger' | 'panel'>, organisation: string) {
    this.#mesh = mesh;
    // one for all, so that a badge finds its user by itself
    this.#badgeSalt = new TextEncoder().encode(`inkmesh badge ${organisation}`);
  }

  /** States a user's PIN, on a registrar. @throws InkmeshError `bad-request` for a short one; `unavailable` */
  async setPin(user: string, pin: string): Promise<void> {
    const secret = plain(pin);
    if (secret.length < panelLimits.minPinChars || new Set(secret).size < 3) {
      throw new InkmeshError(
        'bad-request',
        `a PIN has at least ${panelLimits.minPinChars} characters, of at least three kinds`,
      );
    }
    const key = await this.#mesh.panel.currentKey();
    const salt = crypto.getRandomValues(new Uint8Array(saltBytes));
    const tag = pinTag(key, user, await slowHash(secret, salt));
    await this.#state(pinKind, user, { salt, key: Uint8Array.fromHex(key.id), tag });
  }

  /**
   * States a user's badge, on a registrar.
   * @param short whether a number that is soon guessed is good enough
   * @throws InkmeshError `bad-request` for a short one; `conflict` when it is another's; `unavailable`
   */
  async setBadge(user: string, badge: string, short = false): Promise<void> {
    const secret = plain(badge);
    if (secret === '') throw new InkmeshError('bad-request', 'a badge has a number');
    if (secret.length < panelLimits.minBadgeChars && !short) {
      throw new InkmeshError(
        'bad-request',
        `a badge of less than ${panelLimits.minBadgeChars} characters is soon guessed: --short takes it all the same`,
      );
    }
    const key = await this.#mesh.panel.currentKey();
    const hash = await slowHash(secret, this.#badgeSalt);
    if (this.#standing(this.#holdersOf(hash)).some((holder) => holder !== user)) {
      throw new InkmeshError('conflict', 'this badge is another user’s');
    }
    await this.#state(badgeKind, user, { key: Uint8Array.fromHex(key.id), tag: badgeTag(key, hash) });
  }

  async removePin(user: string): Promise<void> {
    await this.#state(pinKind, user, {});
  }

  async removeBadge(user: string): Promise<void> {
    await this.#state(badgeKind, user, {});
  }

  /**
   * Whether the PIN is the user's. It takes as long for who has none.
   * @throws InkmeshError `busy`; `unavailable` when it is kept under a key that this node does not have
   */
  async isPin(pin: string, given: PinFact | undefined, user: string): Promise<boolean> {
    const key = given === undefined ? undefined : this.#keyOf(given.key);
    const hash = await slowHash(plain(pin), given?.salt ?? this.#badgeSalt);
    if (given === undefined) return false;
    if (key === undefined) {
      throw new InkmeshError('unavailable', 'this panel cannot check this PIN: use another panel');
    }
    return timingSafeEqual(pinTag(key, user, hash), given.tag);
  }

  /** Whose a badge is; undefined for one that is nobody's. @throws InkmeshError `busy` */
  async userOf(badge: string): Promise<string | undefined> {
    const all = this.#holdersOf(await slowHash(plain(badge), this.#badgeSalt));
    const standing = this.#standing(all);
    // the card of somebody who has left may be another's by now
    const holders = standing.length > 0 ? standing : all;
    // two registrars may have given one badge to two users in the same moment: then it is neither's
    return holders.length === 1 ? holders[0] : undefined;
  }

  #holdersOf(hash: Uint8Array): string[] {
    const { ledger, panel } = this.#mesh;
    const tags = panel.keys().map((key) => badgeTag(key, hash));
    return ledger.all(badgeKind.name).map(({ subject }) => subject).filter((user) => {
      const badge = badgeOf(ledger, user);
      return badge !== undefined && tags.some((tag) => timingSafeEqual(tag, badge.tag));
    });
  }

  #standing(users: readonly string[]): string[] {
    return users.filter((user) => revokedSince(this.#mesh.ledger, 'user', user) === undefined);
  }

  #keyOf(id: Uint8Array): PanelKey | undefined {
    return this.#mesh.panel.keys().find((key) => key.id === id.toHex());
  }

  async #state<Body extends v.GenericSchema>(
    kind: Kind<Body>,
    user: string,
    body: v.InferInput<Body>,
  ): Promise<void> {
    await this.#mesh.ledger.state(kind, () => directoryDoc, check(userName, user), body);
  }
}

const pinTag = ({ key }: PanelKey, user: string, hash: Uint8Array): Uint8Array =>
  keyed(key, ['inkmesh pin 1', user, hash]);

const badgeTag = ({ key }: PanelKey, hash: Uint8Array): Uint8Array => keyed(key, ['inkmesh badge 1', hash]);

const keyed = (key: Uint8Array, what: unknown[]): Uint8Array =>
  new Uint8Array(createHmac('sha256', key).update(encode(what)).digest());
