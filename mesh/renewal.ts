/** The asking side of `renew.ts`: a node looks after its own certificate. */
import { InkmeshError } from './errors.ts';
import type { KnownFacts } from './facts.ts';
import type { NodeCertificates } from './issue.ts';
import { renewFirstLook_ms, renewLook_ms, renewRetryMax_ms, renewRetryMin_ms } from './limits.ts';
import type { Clock, Log } from './ports.ts';
import { isDue, renewedNode, renewMethod } from './renew.ts';
import type { Rpc } from './rpc.ts';
import type { Self } from './self.ts';
import { fraction } from './timing.ts';

export interface RenewalOptions {
  rpc: Rpc;
  self: Self;
  ledger: KnownFacts;
  clock: Clock;
  /** agreed with the peers */
  now_ms(): number;
  log: Log;
  /** PeerIds of registrars, the connected ones first */
  registrars(): string[];
  /** IP addresses of this node */
  ownHosts(): string[];
  /** asks outside of the mesh, of which a node with a lapsed certificate is no member */
  askLapsed(): Promise<NodeCertificates>;
}

export class Renewal {
  readonly #options: RenewalOptions;
  #callOff: () => void;
  #retry_ms = renewRetryMin_ms;
  #closed = false;

  constructor(options: RenewalOptions) {
    this.#options = options;
    this.#callOff = options.clock.after(renewFirstLook_ms, () => void this.#look());
  }

  close(): void {
    this.#closed = true;
    this.#callOff();
  }

  async #look(): Promise<void> {
    const { clock, log, self } = this.#options;
    let next_ms = renewLook_ms;
    try {
      if (isDue(self.identity, this.#options.now_ms())) await this.#renew();
      this.#retry_ms = renewRetryMin_ms;
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      const expires = new Date(self.identity.notAfter).toISOString();
      log('warn', 'this node’s certificate could not be renewed', { expires, reason });
      // spread out, as nodes that were enrolled together are due together
      next_ms = this.#retry_ms * (0.5 + fraction());
      this.#retry_ms = Math.min(2 * this.#retry_ms, renewRetryMax_ms);
    }
    if (!this.#closed) this.#callOff = clock.after(next_ms, () => void this.#look());
  }

  async #renew(): Promise<void> {
    const { self, log } = this.#options;
    const given = await this.#ask();
    const { notAfter } = await self.examine(given);
    if (notAfter <= self.identity.notAfter) {
      throw new InkmeshError('conflict', 'the issuers of the organisation themselves are about to end');
    }
    if (this.#closed) return;
    await self.become(given);
    log('info', 'this node’s certificate was renewed', { expires: new Date(notAfter).toISOString() });
  }

  async #ask(): Promise<NodeCertificates> {
    const { self, ledger, rpc } = this.#options;
    const { identity, issuers, authority } = self;
    const now_ms = this.#options.now_ms();
    if (authority !== undefined) {
      return await renewedNode(authority, ledger, identity, this.#options.ownHosts(), now_ms);
    }
    if (identity.notAfter < now_ms) return await this.#options.askLapsed();
    let failure: unknown = new InkmeshError('unavailable', 'no registrar is known');
    for (const peer of this.#options.registrars()) {
      try {
        return (await rpc.call(peer, renewMethod, { leaf: identity.der, issuers })).reply;
      } catch (thrown) {
        failure = thrown;
      }
    }
    throw failure;
  }
}
