/**
 * Who stands at a panel, after badge or PIN: sessions in the memory of a panel node, gone with it. A session is known by
 * a random token in the panel's cookie, ends when nobody touches the panel for a minute, and is good at that panel only.
 */
import { createHash } from 'node:crypto';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Mesh, Permission } from '../../mesh/mod.ts';
import { remember } from '../../mesh/remember.ts';
import { panelLimits } from '../limits.ts';
import type { AtPanel, PanelLogin, ShownAtPanel } from '../panel/login.ts';

/** Who looks at the release pages. */
export interface Visitor {
  readonly user: string;
  readonly via: 'credential' | 'panel';
}

/** What somebody at a panel is to have done by this node. */
export interface Wish {
  readonly job: string;
  /** its name; empty to cancel */
  readonly printer: string;
  /** CBOR, as in a grant */
  readonly options: Uint8Array;
  /** claims that the user prints in spite of */
  readonly confirm: readonly string[];
}

interface Session extends AtPanel {
  /** IP address of the panel */
  readonly address: string;
  readonly ends_ms: number;
  idle_ms: number;
}

export interface SessionsOptions {
  mesh: Pick<Mesh, 'panel' | 'self'>;
  login: Pick<PanelLogin, 'login' | 'mayStay'>;
  now_ms?(): number;
}

export class Sessions {
  readonly #options: SessionsOptions;
  /** by SHA-256 of the token, the oldest first */
  readonly #sessions = new Map<string, Session>();

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /**
   * @param address IP address of the panel
   * @returns the session's token, 43 characters: for the panel's cookie, and nobody else
   * @throws InkmeshError as `PanelLogin.login`
   */
  async login(shown: ShownAtPanel, address: string): Promise<string> {
    const who = await this.#options.login.login(shown, address);
    const token = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64url');
    const now_ms = this.#now_ms();
    for (const [key, session] of this.#sessions) if (isOver(session, now_ms)) this.#sessions.delete(key);
    const theirs = [...this.#sessions].filter(([, session]) => session.user === who.user);
    for (const [key] of theirs.slice(0, Math.max(0, theirs.length + 1 - panelLimits.maxSessionsPerUser))) {
      this.#sessions.delete(key);
    }
    const session = {
      ...{ ...who, address, ends_ms: now_ms + panelLimits.session_ms },
      idle_ms: now_ms + panelLimits.idle_ms,
    };
    remember(this.#sessions, keyOf(token), session, panelLimits.maxSessions);
    return token;
  }

  /**
   * Who has a session; undefined when it has ended, or is another panel's.
   * @param by `page`: what asks is the page by itself, which does not keep an abandoned panel logged in
   */
  visitor(token: string, address: string, by: 'person' | 'page' = 'person'): Visitor | undefined {
    const session = this.#find(token, address);
    if (session === undefined) return undefined;
    if (by === 'person') session.idle_ms = this.#now_ms() + panelLimits.idle_ms;
    return { user: session.user, via: 'panel' };
  }

  logout(token: string): void {
    this.#sessions.delete(keyOf(token));
  }

  /** What lets this node do what the user wants. @throws InkmeshError `unauthenticated` when the session has ended */
  async permission(token: string, address: string, wish: Wish): Promise<Permission> {
    const { mesh: { panel, self } } = this.#options;
    const { user } = this.#must(token, address);
    const { job, printer, options, confirm } = wish;
    const action = printer === '' ? 'cancel' : 'release';
    const voucher = { user, job, action, target: printer, claimant: self.peerId, options, confirm } as const;
    return { voucher: await panel.voucher(voucher) };
  }

  /** What lets this node see the user's tickets, as `Jobs.of` takes it. @throws InkmeshError as `permission` */
  async proof(token: string, address: string): Promise<string> {
    return await this.#options.mesh.panel.view(this.#must(token, address).user);
  }

  #must(token: string, address: string): Session {
    const session = this.#find(token, address);
    if (session !== undefined) return session;
    throw new InkmeshError('unauthenticated', 'you are logged out: show your badge or PIN again');
  }

  #find(token: string, address: string): Session | undefined {
    const key = keyOf(token);
    const session = this.#sessions.get(key);
    if (session === undefined || session.address !== address) return undefined;
    if (!isOver(session, this.#now_ms()) && this.#options.login.mayStay(session)) return session;
    this.#sessions.delete(key);
    return undefined;
  }

  #now_ms(): number {
    return this.#options.now_ms?.() ?? performance.now();
  }
}

const isOver = ({ idle_ms, ends_ms }: Session, now_ms: number): boolean =>
  now_ms >= Math.min(idle_ms, ends_ms);

const keyOf = (token: string): string => createHash('sha256').update(token).digest('hex');
