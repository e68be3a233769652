/**
 * Who stands at a panel, by badge or by name and PIN. A guess is slow, counted and noted, ten of them lock the user, and
 * nothing that is answered, nor when, tells a wrong PIN from a user that there is not.
 */
import * as v from 'valibot';
import { InkmeshError } from '../../mesh/errors.ts';
import { type Mesh, revokedSince } from '../../mesh/mod.ts';
import { userName } from '../../mesh/names.ts';
import { Attempts } from '../attempts.ts';
import type { Audit } from '../audit.ts';
import { panelLimits } from '../limits.ts';
import { lockedSince, Locks } from './lock.ts';
import { badgeOf, pinOf, type Verifiers } from './verifier.ts';

/** What somebody shows at a panel. */
export type ShownAtPanel = { readonly name: string; readonly pin: string } | { readonly badge: string };

/** Who has shown one. */
export interface AtPanel {
  readonly user: string;
  /** in hexadecimal the salt of the PIN, or the tag of the badge, that was shown */
  readonly by: string;
}

export interface PanelLoginOptions {
  mesh: Pick<Mesh, 'ledger' | 'panel' | 'self'>;
  verifiers: Verifiers;
  audit: Pick<Audit, 'record'>;
  now_ms?(): number;
}

const anyBadge = 'badges';

const wrong = () =>
  new InkmeshError('unauthenticated', 'this is not a badge or PIN that is known: try again');

export class PanelLogin {
  readonly #options: PanelLoginOptions;
  readonly #locks: Locks;
  readonly #ofAddress: Attempts;
  readonly #ofUser: Attempts;
  /** unknown ones at all panels: a guess may be any user's */
  readonly #ofBadges: Attempts;
  /** addresses with an attempt that is being looked at: many at once would not have been counted yet */
  readonly #underWay = new Set<string>();

  constructor(options: PanelLoginOptions) {
    this.#options = options;
    this.#locks = new Locks(options.mesh);
    const now_ms = options.now_ms ?? (() => performance.now());
    // the panels of a LAN are one network
    const each = (whose: string) => whose;
    this.#ofAddress = new Attempts(now_ms, panelLimits.panelFailuresPerMinute, each);
    this.#ofUser = new Attempts(now_ms, panelLimits.failuresPerMinute, each);
    this.#ofBadges = new Attempts(now_ms, panelLimits.unknownBadgesPerMinute, each);
  }

  /**
   * @param address IP address of the panel
   * @throws InkmeshError `unauthenticated` for a wrong one, and for who is not known or revoked; `forbidden` for who is
   *   locked; `busy` after many wrong ones
   */
  async login(shown: ShownAtPanel, address: string): Promise<AtPanel> {
    const { panel } = this.#options.mesh;
    if (!panel.isPanel()) throw new InkmeshError('forbidden', 'this node is no panel node');
    if (panel.keys().length === 0) {
      throw new InkmeshError('unavailable', 'this panel has not been given what it takes to check PINs yet');
    }
    this.#pace(this.#ofAddress, address);
    if (this.#underWay.has(address)) {
      throw new InkmeshError('busy', 'this panel is looking at another badge or PIN: try again');
    }
    this.#underWay.add(address);
    try {
      return 'badge' in shown
        ? await this.#byBadge(shown.badge, address)
        : await this.#byPin(shown.name.trim(), shown.pin, address);
    } finally {
      this.#underWay.delete(address);
    }
  }

  /** Whether somebody who has logged in may go on: what they have shown is theirs still. */
  mayStay({ user, by }: AtPanel): boolean {
    const { ledger } = this.#options.mesh;
    const shown = [pinOf(ledger, user)?.salt, badgeOf(ledger, user)?.tag];
    return this.#mayEnter(user) && shown.some((octets) => octets?.toHex() === by);
  }

  #mayEnter(user: string): boolean {
    const { ledger } = this.#options.mesh;
    return revokedSince(ledger, 'user', user) === undefined && lockedSince(ledger, user) === undefined;
  }

  async #byBadge(shown: string, address: string): Promise<AtPanel> {
    const { verifiers } = this.#options;
    this.#pace(this.#ofBadges, anyBadge);
    const answer = refusalTime();
    const user = await verifiers.userOf(shown);
    const badge = user === undefined ? undefined : badgeOf(this.#options.mesh.ledger, user);
    if (user !== undefined && badge !== undefined && this.#mayEnter(user)) {
      return this.#welcome({ user, by: badge.tag.toHex() }, address, 'badge');
    }
    if (user !== undefined && lockedSince(this.#options.mesh.ledger, user) !== undefined) {
      this.#refuse(user, address, 'badge of a user who is locked');
      throw locked();
    }
    this.#ofAddress.failed(address);
    this.#ofBadges.failed(anyBadge);
    this.#refuse(user ?? null, address, user === undefined ? 'unknown badge' : 'badge of a revoked user');
    await answer();
    throw wrong();
  }

  async #byPin(shown: string, pin: string, address: string): Promise<AtPanel> {
    const { mesh: { ledger }, verifiers } = this.#options;
    const name = v.is(userName, shown) ? shown : '';
    const isUser = name !== '' && revokedSince(ledger, 'user', name) === undefined;
    const given = isUser ? pinOf(ledger, name) : undefined;
    this.#pace(this.#ofUser, name);
    if (this.#locks.isLocked(name, given)) {
      this.#refuse(given === undefined ? null : name, address, 'PIN of a user who is locked');
      if (given !== undefined) await this.#locks.lock(name, given);
      throw locked();
    }
    this.#locks.begin(name, given);
    const answer = refusalTime();
    const isRight = await verifiers.isPin(pin, given, name).catch((thrown: unknown) => {
      // it was not looked at
      this.#locks.undo(name, given);
      throw thrown;
    });
    if (isRight && given !== undefined) {
      await this.#locks.succeeded(name, given);
      return this.#welcome({ user: name, by: given.salt.toHex() }, address, 'PIN');
    }
    this.#ofAddress.failed(address);
    this.#ofUser.failed(name);
    const isLocked = given !== undefined && await this.#locks.failed(name, given);
    const what = given === undefined ? 'PIN of an unknown user' : 'wrong PIN';
    this.#refuse(given === undefined ? null : name, address, isLocked ? `${what}: locked` : what);
    await answer();
    throw wrong();
  }

  #pace(attempts: Attempts, whose: string): void {
    const retry_s = Math.ceil(attempts.limited_ms(whose) / 1000);
    if (retry_s === 0) return;
    throw new InkmeshError('busy', `too many wrong badges or PINs: wait for ${retry_s} s`, {
      retry_s: String(retry_s),
    });
  }

  #welcome(who: AtPanel, address: string, what: 'badge' | 'PIN'): AtPanel {
    this.#options.audit.record({
      what: 'asked',
      who: who.user,
      from: address,
      detail: `login at a panel by ${what}`,
    });
    return who;
  }

  #refuse(who: string | null, address: string, detail: string): void {
    this.#options.audit.record({ what: 'refused', who, from: address, detail: `at a panel: ${detail}` });
  }
}

const locked = () =>
  new InkmeshError(
    'forbidden',
    'too many wrong PINs: this user is locked until an administrator gives a new PIN',
  );

/** Resolves when a refusal that begins now may be answered: what was done for it takes less. */
function refusalTime(): () => Promise<void> {
  const until = new Promise<void>((done) => setTimeout(done, panelLimits.refusal_ms));
  return () => until;
}
