/**
 * The TLS key of a site's one name, under which its front nodes face phones and print dialogs. A registrar makes it
 * (`site-issue.ts`), and seals it in one fact for the site's front nodes and for registrars, so that another of these
 * can renew it: whichever front node answers, clients see the same certificate, also those that have pinned it.
 */
import * as v from 'valibot';
import { exportKey, importKeyPair, tlsKeyOf, toPem } from './authority.ts';
import type { NodeIdentity } from './certificate.ts';
import { bytes, check, text } from './codec.ts';
import { asInkmeshError, InkmeshError } from './errors.ts';
import { type Fact, type Kind, type KnownFacts, registrarOnly } from './facts.ts';
import {
  maxKeyRegistrars,
  maxSealedNodes,
  maxSealedSiteKeyBytes,
  maxSiteCertificateBytes,
} from './limits.ts';
import { siteName } from './names.ts';
import type { Log } from './ports.ts';
import { revokedSince } from './revocation.ts';
import { sealFor, unseal } from './seal.ts';
import type { Self } from './self.ts';

const siteKeyBody = v.strictObject({
  /** DER, by the TLS issuer */
  leaf: bytes(1, maxSiteCertificateBytes),
  /** age recipients that the key is sealed for */
  for: v.pipe(v.array(text(100)), v.maxLength(maxSealedNodes + maxKeyRegistrars)),
  /** age file: the private key, P-256, in PKCS#8 */
  sealed: bytes(1, maxSealedSiteKeyBytes),
});
export type SiteKeyBody = v.InferOutput<typeof siteKeyBody>;

/** Its subject is the name of the site. */
export const siteKeyKind: Kind<typeof siteKeyBody> = {
  name: 'site-key',
  body: siteKeyBody,
  check(fact, author) {
    registrarOnly(fact, author);
    check(siteName, fact.subject);
  },
};

/** What is looked up of the ledger. */
export interface SiteFacts extends KnownFacts {
  nodes(): NodeIdentity[];
  sealOf(peer: string): string | undefined;
}

export function siteKeyOf(known: KnownFacts, site: string): SiteKeyBody | undefined {
  return known.latest(siteKeyKind.name, site)?.body as SiteKeyBody | undefined;
}

/** Whether a node can serve its site's name. */
export function hasSiteKey(known: SiteFacts, { site, peerId }: NodeIdentity): boolean {
  const seal = known.sealOf(peerId);
  return seal !== undefined && siteKeyOf(known, site)?.for.includes(seal) === true;
}

/** @param recipients `age1…` */
export async function sealSiteKey(
  leaf: Uint8Array,
  key: CryptoKey,
  recipients: readonly string[],
): Promise<SiteKeyBody> {
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey('pkcs8', key));
  return { leaf, for: [...recipients], sealed: await sealFor(recipients, pkcs8) };
}

/** @throws InkmeshError `corrupt` unless it is sealed for this node, and the key is the certificate's */
export async function openSiteKey(sealKey: string, { leaf, sealed }: SiteKeyBody): Promise<CryptoKeyPair> {
  const keys = await importKeyPair(toPem('PRIVATE KEY', await unseal(sealKey, sealed)));
  const spki = new Uint8Array(await crypto.subtle.exportKey('spki', keys.publicKey));
  if (!Buffer.from(spki).equals(tlsKeyOf(leaf))) {
    throw new InkmeshError('corrupt', 'the key is not the one in the certificate');
  }
  return keys;
}

/** PEM each. The certificate's issuer is that of the node's own TLS certificate. */
export interface SiteTls {
  readonly key: string;
  readonly certificate: string;
}

export interface SiteKeyOptions {
  self: Self;
  sealKey: string;
  ledger: SiteFacts & { onFact(listener: (fact: Fact) => void): void };
  log: Log;
}

/** The key of this node's site, where this node is a front node of it. */
export class SiteKey {
  readonly #options: SiteKeyOptions;
  readonly #listeners: ((tls: SiteTls | undefined) => void)[] = [];
  #current: SiteTls | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(options: SiteKeyOptions) {
    this.#options = options;
  }

  /** Reads what is known, and follows what comes. */
  async open(): Promise<void> {
    const { ledger, self } = this.#options;
    ledger.onFact(({ kind, subject }) => {
      if (kind === siteKeyKind.name && subject === self.identity.site) this.#lookAgain();
    });
    await this.#look();
  }

  /** Undefined on a node that does not serve its site's name. */
  get current(): SiteTls | undefined {
    return this.#current;
  }

  onChange(listener: (tls: SiteTls | undefined) => void): void {
    this.#listeners.push(listener);
  }

  #lookAgain(): void {
    this.#looking = this.#looking.then(() => this.#look());
  }

  async #look(): Promise<void> {
    const { self: { identity }, sealKey, ledger, log } = this.#options;
    const body = siteKeyOf(ledger, identity.site);
    const mayServe = identity.roles.includes('front') && hasSiteKey(ledger, identity) &&
      revokedSince(ledger, 'node', identity.peerId) === undefined;
    try {
      this.#current = body === undefined || !mayServe ? undefined : {
        key: await exportKey((await openSiteKey(sealKey, body)).privateKey),
        certificate: toPem('CERTIFICATE', body.leaf),
      };
    } catch (thrown) {
      log('error', 'the key of this site’s name cannot be read', { reason: asInkmeshError(thrown).message });
      return;
    }
    for (const listener of this.#listeners) listener(this.#current);
  }
}
