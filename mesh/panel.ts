/** What this node is to panels: the keys of badges and PINs that it can open, and its word for who has shown one. */
import { InkmeshError } from './errors.ts';
import type { FactLedger } from './ledger.ts';
import { PanelIssuer } from './panel-issue.ts';
import { type PanelKey, PanelKeys } from './panel-key.ts';
import type { Clock, Log } from './ports.ts';
import { revokedSince } from './revocation.ts';
import type { Self } from './self.ts';
import { signView, signVoucher, type Voucher, type Vouching } from './voucher.ts';

export interface PanelOptions {
  self: Self;
  /** the private key of the node certificate */
  key: CryptoKey;
  sealKey: string;
  ledger: FactLedger;
  clock: Clock;
  log: Log;
  /** agreed with the peers */
  now_ms(): number;
}

export class Panel {
  readonly #options: PanelOptions;
  readonly #keys: PanelKeys;
  readonly #issuer: PanelIssuer;

  private constructor(options: PanelOptions) {
    this.#options = options;
    this.#keys = new PanelKeys(options);
    this.#issuer = new PanelIssuer({ ...options, keys: this.#keys });
  }

  static async open(options: PanelOptions): Promise<Panel> {
    const panel = new Panel(options);
    await panel.#keys.open();
    return panel;
  }

  close(): void {
    this.#issuer.close();
  }

  /** Whether this node vouches for users. */
  isPanel(): boolean {
    const { self: { identity }, ledger } = this.#options;
    return identity.roles.includes('panel') && revokedSince(ledger, 'node', identity.peerId) === undefined;
  }

  /** The keys of badges and PINs, the newest first; none on a node that is neither panel node nor registrar. */
  keys(): readonly PanelKey[] {
    return this.#keys.all();
  }

  /** The key for new badges and PINs, on a registrar. @throws InkmeshError `unavailable` */
  async currentKey(): Promise<PanelKey> {
    // a panel node may have been shut out a moment ago
    await this.#issuer.tendAll();
    const [key] = this.keys();
    if (key !== undefined) return key;
    const hasPanels = this.#options.ledger.nodes().some(({ roles }) => roles.includes('panel'));
    throw new InkmeshError(
      'unavailable',
      hasPanels
        ? 'this registrar has not been given the keys of badges and PINs: try again soon, or on another registrar'
        : 'badges and PINs are for panel nodes, and there is none yet: inkmesh invite node --role panel',
    );
  }

  /** @throws InkmeshError `forbidden` on a node that is no panel node; `bad-request` if a field is out of bounds */
  voucher(voucher: Omit<Voucher, 'nonce' | 'issued'>): Promise<Uint8Array> {
    return signVoucher(this.#vouching(), voucher, this.#options.now_ms());
  }

  /** What lets this node see a user's tickets. @throws InkmeshError as `voucher` */
  view(user: string): Promise<string> {
    const { self, now_ms } = this.#options;
    return signView(this.#vouching(), user, self.identity.peerId, now_ms());
  }

  #vouching(): Vouching {
    if (!this.isPanel()) throw new InkmeshError('forbidden', 'this node is no panel node');
    const { self: { identity, issuers }, key } = this.#options;
    return { certificate: identity.der, issuers, key };
  }
}
