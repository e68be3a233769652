/**
 * What a registrar does for panel nodes (`panel-key.ts`): makes the key under which badges and PINs are kept when there
 * is the first panel node, seals all keys for further ones, and makes another key when one that has had them is shut
 * out. What is kept under the old one goes on to hold: only a new PIN comes under the new one.
 */
import { directoryDoc } from './facts.ts';
import type { FactLedger } from './ledger.ts';
import { newest, newPanelKey, panelKeyKind, panelKeyOf, type PanelKeys, sealPanelKeys } from './panel-key.ts';
import type { Clock, Log } from './ports.ts';
import type { Self } from './self.ts';
import type { SiteFacts } from './site-key.ts';
import { recipientsOf, Tending } from './tending.ts';

/** What a registrar has to do about the panel nodes of a site, and whom the keys are for then. */
export interface PanelTask {
  /** `seal`: what is lacking; `make`: one key more; `compare`: nothing, unless other sites have a key more */
  readonly what: 'seal' | 'make' | 'compare';
  /** age recipients */
  readonly recipients: readonly string[];
}

/** @returns undefined when there is nothing to do, or only another registrar can do it */
export function panelTask(known: SiteFacts, site: string, own: string): PanelTask | undefined {
  const current = panelKeyOf(known, site);
  const kept = new Set(current?.for);
  const { users, others, all: recipients, leaked } = recipientsOf(known, site, 'panel', own, kept);
  // also where the only panel node was the one that is shut out: the keys are those of all sites
  if (current !== undefined && leaked) return { what: 'make', recipients };
  if (users.length === 0) return undefined;
  if (current === undefined) return { what: 'seal', recipients };
  // whoever can open them hands on the keys that there are
  if (!kept.has(own) && others.some((seal) => kept.has(seal))) return undefined;
  return { what: recipients.some((seal) => !kept.has(seal)) ? 'seal' : 'compare', recipients };
}

export interface PanelIssuerOptions {
  self: Self;
  sealKey: string;
  ledger: FactLedger;
  keys: PanelKeys;
  clock: Clock;
  log: Log;
}

export class PanelIssuer {
  readonly #options: PanelIssuerOptions;
  readonly #tending: Tending;

  constructor(options: PanelIssuerOptions) {
    this.#options = options;
    this.#tending = new Tending({
      ...{ ...options, kind: panelKeyKind.name, role: 'panel' },
      failure: 'the keys of badges and PINs could not be sealed',
      tend: (site, own, facts) => this.#tend(site, own, facts),
    });
  }

  close(): void {
    this.#tending.close();
  }

  /** Does now what is to be done. */
  async tendAll(): Promise<void> {
    await this.#tending.tendAll();
    await this.#options.keys.settled();
  }

  async #tend(site: string, own: string, facts: SiteFacts): Promise<void> {
    const { ledger, keys, clock, log } = this.#options;
    const task = panelTask(facts, site, own);
    if (task === undefined) return;
    await keys.settled();
    const known = keys.all();
    const there = new Set(keys.at(site).map(({ id }) => id));
    if (task.what === 'compare' && known.every(({ id }) => there.has(id))) return;
    const isNew = task.what === 'make' || known.length === 0;
    // it is to be the newest, whatever the clock of the registrar that made the last one
    const made_ms = Math.max(clock.wall_ms(), (known[0]?.made_ms ?? 0) + 1);
    const all = isNew ? newest([newPanelKey(made_ms), ...known]) : known;
    const body = await sealPanelKeys(all, task.recipients);
    await ledger.state(panelKeyKind, () => directoryDoc, site, body);
    await keys.settled();
    log('info', 'the keys of badges and PINs were given to panel nodes', { site, what: task.what });
  }
}
