/**
 * What panel nodes have a holder do for users. Each is written down, and of one panel node a bounded number is heeded in
 * a minute: a stolen one reads neither everything at once, nor without a trace.
 */
import type { NodeIdentity } from './certificate.ts';
import { InkmeshError } from './errors.ts';
import { maxVouchedUsers, maxVouchers, vouchers_ms } from './limits.ts';
import type { Clock, Log } from './ports.ts';

interface Window {
  ends_ms: number;
  users: Set<string>;
  /** what for, each with its user */
  seen: Set<string>;
  warned: boolean;
}

export class Vouched {
  readonly #clock: Clock;
  readonly #log: Log;
  /** by PeerId */
  readonly #panels = new Map<string, Window>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * Writes down what a panel node has vouched for: once a minute what is repeated, as lists are.
   * @param what a job and what is done with it, or that jobs are listed
   * @throws InkmeshError `busy` when it has vouched for too many
   */
  note(panel: NodeIdentity, user: string, what: { job: string; prints: boolean } | 'list'): void {
    const window = this.#window(panel.peerId);
    const { users, seen } = window;
    const doing = what === 'list' ? { to: what } : { to: what.prints ? 'release' : 'cancel', job: what.job };
    const key = JSON.stringify([user, doing]);
    if (seen.has(key)) return;
    if ((users.size >= maxVouchedUsers && !users.has(user)) || seen.size >= maxVouchers) {
      if (!window.warned) this.#log('warn', 'a panel node vouches for too many', { panel: panel.name });
      window.warned = true;
      throw new InkmeshError('busy', `the panel node ${panel.name} serves too many at once: wait a minute`);
    }
    users.add(user);
    seen.add(key);
    this.#log('info', 'a panel node has vouched for a user', { panel: panel.name, user, ...doing });
  }

  #window(peer: string): Window {
    const now_ms = this.#clock.monotonic_ms();
    const open = this.#panels.get(peer);
    if (open !== undefined && now_ms < open.ends_ms) return open;
    const window: Window = {
      ends_ms: now_ms + vouchers_ms,
      users: new Set(),
      seen: new Set(),
      warned: false,
    };
    this.#panels.set(peer, window);
    return window;
  }
}
