/**
 * The keys under which badges and PINs are kept: random, and known to panel nodes and registrars alone. A verifier is a
 * keyed hash, so that whoever has the facts and none of these keys cannot try badges and PINs. One fact for each site
 * that has panel nodes carries all keys of the organisation, sealed for these; a registrar states it (panel-issue.ts).
 */
import { sha256 } from '@noble/hashes/sha2.js';
import * as v from 'valibot';
import { bytes, check, decode, encode, integer, text } from './codec.ts';
import { asInkmeshError } from './errors.ts';
import { type Fact, type Kind, type KnownFacts, registrarOnly } from './facts.ts';
import { maxKeyRegistrars, maxPanelKeys, maxSealedNodes, maxSealedPanelKeyBytes } from './limits.ts';
import { siteName } from './names.ts';
import type { Log } from './ports.ts';
import { sealFor, unseal } from './seal.ts';
import type { Self } from './self.ts';

const keyBytes = 32;
/** Octets of a key's name. */
export const panelKeyIdBytes = 8;

const panelKeyBody = v.strictObject({
  /** age recipients that the keys are sealed for */
  for: v.pipe(v.array(text(100)), v.maxLength(maxSealedNodes + maxKeyRegistrars)),
  /** age file: the CBOR of `keyList` */
  sealed: bytes(1, maxSealedPanelKeyBytes),
});
export type PanelKeyBody = v.InferOutput<typeof panelKeyBody>;

/** when each was made, and the key */
const keyList = v.pipe(
  v.array(v.strictTuple([integer(0, Number.MAX_SAFE_INTEGER), bytes(keyBytes, keyBytes)])),
  v.maxLength(maxPanelKeys),
);

/** Its subject is the name of a site. */
export const panelKeyKind: Kind<typeof panelKeyBody> = {
  name: 'panel-key',
  body: panelKeyBody,
  check(fact, author) {
    registrarOnly(fact, author);
    check(siteName, fact.subject);
  },
};

export interface PanelKey {
  /** the first 8 octets of its SHA-256, in hexadecimal: no secret */
  readonly id: string;
  /** 256 random bits */
  readonly key: Uint8Array;
  /** milliseconds since the epoch */
  readonly made_ms: number;
}

export function newPanelKey(now_ms: number): PanelKey {
  return panelKey(Math.floor(now_ms), crypto.getRandomValues(new Uint8Array(keyBytes)));
}

function panelKey(made_ms: number, key: Uint8Array): PanelKey {
  return { id: sha256(key).subarray(0, panelKeyIdBytes).toHex(), key, made_ms };
}

/** Each once, the newest first, as many as are kept. */
export function newest(keys: readonly PanelKey[]): PanelKey[] {
  const distinct = new Map(keys.map((key) => [key.id, key]));
  return [...distinct.values()].sort((a, b) => b.made_ms - a.made_ms || (a.id < b.id ? -1 : 1))
    .slice(0, maxPanelKeys);
}

export function panelKeyOf(known: KnownFacts, site: string): PanelKeyBody | undefined {
  return known.latest(panelKeyKind.name, site)?.body as PanelKeyBody | undefined;
}

/** @param recipients `age1…` */
export async function sealPanelKeys(
  keys: readonly PanelKey[],
  recipients: readonly string[],
): Promise<PanelKeyBody> {
  const list = keys.map(({ made_ms, key }) => [made_ms, key]);
  return { for: [...recipients], sealed: await sealFor(recipients, encode(list)) };
}

/** @throws InkmeshError `corrupt` unless they are sealed for this node */
export async function openPanelKeys(sealKey: string, { sealed }: PanelKeyBody): Promise<PanelKey[]> {
  return decode(keyList, await unseal(sealKey, sealed)).map(([made_ms, key]) => panelKey(made_ms, key));
}

export interface PanelKeysOptions {
  self: Self;
  sealKey: string;
  ledger: KnownFacts & {
    all(kind: string): Fact[];
    sealOf(peer: string): string | undefined;
    onFact(listener: (fact: Fact) => void): void;
  };
  log: Log;
}

/** The keys that this node can open. */
export class PanelKeys {
  readonly #options: PanelKeysOptions;
  /** by author and sequence of the fact; none where they are not for this node */
  readonly #opened = new Map<string, readonly PanelKey[]>();
  #looking: Promise<void> = Promise.resolve();

  constructor(options: PanelKeysOptions) {
    this.#options = options;
  }

  /** Reads what is known, and follows what comes. */
  async open(): Promise<void> {
    const { ledger } = this.#options;
    ledger.onFact(({ kind, subject }) => {
      if (kind === panelKeyKind.name) this.#lookAt(subject);
    });
    for (const { subject } of ledger.all(panelKeyKind.name)) this.#lookAt(subject);
    await this.settled();
  }

  /** Resolves when all that has come so far is read. */
  settled(): Promise<void> {
    return this.#looking;
  }

  /** All that this node has ever been given, the newest first; none on a node that they are not for. */
  all(): PanelKey[] {
    return newest([...this.#opened.values()].flat());
  }

  /** Those that the nodes of a site are given now, as far as this node can tell. */
  at(site: string): readonly PanelKey[] {
    const fact = this.#options.ledger.latest(panelKeyKind.name, site);
    return fact === undefined ? [] : this.#opened.get(nameOf(fact)) ?? [];
  }

  #lookAt(site: string): void {
    this.#looking = this.#looking.then(() => this.#look(site));
  }

  async #look(site: string): Promise<void> {
    const { self, sealKey, ledger, log } = this.#options;
    const own = ledger.sealOf(self.identity.peerId);
    for (const fact of ledger.about(panelKeyKind.name, site)) {
      const body = fact.body as PanelKeyBody;
      if (own === undefined || !body.for.includes(own) || this.#opened.has(nameOf(fact))) continue;
      try {
        this.#opened.set(nameOf(fact), await openPanelKeys(sealKey, body));
      } catch (thrown) {
        this.#opened.set(nameOf(fact), []);
        log('error', 'keys of badges and PINs cannot be read', { reason: asInkmeshError(thrown).message });
      }
    }
  }
}

const nameOf = ({ author, seq }: Fact) => `${author} ${seq}`;
