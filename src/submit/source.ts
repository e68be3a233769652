/**
 * Who submits. A submit token is its user's, in a printer's address, as the password of HTTP Basic or as a bearer token;
 * whatever else a request says of its user is not looked at. Judged by the facts of this node, and by a registrar while
 * one answers in time.
 */
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import {
  type Mesh,
  refuseCloudToken,
  type SourceId,
  type Standing,
  standingOf,
  tokenHash,
} from '../../mesh/mod.ts';
import { remember } from '../../mesh/remember.ts';
import type { Audit } from '../audit.ts';
import { refusalLimits, submitLimits } from '../limits.ts';
import { Attempts } from '../attempts.ts';

/** A user by credential, which was checked, or by a submit token of theirs. */
export type Source =
  & {
    user: string;
    /** IP address */
    address: string;
  }
  & (
    | {
      /** a secret: only hashes of it go further */
      token: string;
    }
    | {
      /** UUID */
      device: string;
    }
  );

/** A client whose token has been looked at. */
export interface Client {
  token: string;
  /** IP address */
  address: string;
}

/** What a client shows of itself. */
export interface Shown extends Client {
  /** as HTTP Basic names it; null where the token comes alone */
  user: string | null;
}

interface Answer {
  /** once it is there */
  standing?: Standing;
  asked: Promise<Standing | undefined>;
  until_ms: number;
}

export class Sources {
  readonly #mesh: Mesh;
  readonly #audit: Audit;
  readonly #attempts = new Attempts();
  /** what registrars have said, oldest first */
  readonly #answers = new Map<string, Answer>();
  #silentUntil_ms = 0;

  constructor(mesh: Mesh, audit: Audit) {
    this.#mesh = mesh;
    this.#audit = audit;
  }

  /**
   * Whose a token is; undefined for one that is not of this organisation, or another user's.
   * @throws InkmeshError `unauthenticated` when it is revoked or has expired: who shows it has it; `busy` for one that
   *   is not valid from an address with many of these; `forbidden` for one of the cloud's where the site takes none
   */
  async owner(shown: Shown): Promise<{ user: string } | undefined> {
    const { token, user, address } = shown;
    const standing = await this.#standing(token, address);
    const isTheirs = user === null || standing.owner === null || standing.owner.user === user;
    if (standing.standing === 'valid' && standing.owner !== null && isTheirs) {
      this.#refuseCloud(shown, standing.owner);
      return { user: standing.owner.user };
    }
    this.#refuse(shown, isTheirs ? standing : { ...standing, standing: 'unknown' });
    return undefined;
  }

  /** Whose a token is that is valid by all that is known here. */
  userOf(token: string): string | undefined {
    const id = { token: tokenHash(token) };
    const known = this.#known(id);
    // a registrar may have vouched for one that the facts have not brought yet
    const heard = known.standing === 'unknown' ? this.#answers.get(id.token.toHex())?.standing : undefined;
    const { standing, owner } = heard ?? known;
    return standing === 'valid' && this.#cloudRefusal(id.token) === undefined ? owner?.user : undefined;
  }

  /**
   * Has a registrar look at a source that is about to submit.
   * @returns false when none answers in time: then it is judged by what is known here
   * @throws InkmeshError `unauthenticated` when it is shut out
   */
  async confirm(source: Source): Promise<boolean> {
    const id = idOf(source);
    const refused = 'token' in id ? this.#cloudRefusal(id.token) : undefined;
    if (refused !== undefined) throw refused;
    const said = await this.ask(id);
    for (const standing of [this.#known(id), said]) {
      if (standing?.standing === 'revoked' || standing?.standing === 'expired') throw shutOut(standing);
    }
    return said?.standing === 'valid';
  }

  /** How a source stands here. */
  #known(id: SourceId): Standing {
    return standingOf(this.#mesh.ledger, id, this.#mesh.now_ms());
  }

  /** What a registrar says, or has said a moment ago; undefined when none answers. */
  async ask(id: SourceId): Promise<Standing | undefined> {
    const key = 'token' in id ? id.token.toHex() : id.credential.device;
    const now_ms = performance.now();
    const known = this.#answers.get(key);
    if (known !== undefined && known.until_ms > now_ms) return await known.asked;
    if (this.#silentUntil_ms > now_ms) return undefined;
    const answer: Answer = { asked: this.#ask(id), until_ms: now_ms + refusalLimits.answerLife_ms };
    this.#answers.delete(key);
    remember(this.#answers, key, answer, refusalLimits.maxAnswers);
    const standing = await answer.asked;
    if (standing === undefined) this.#answers.delete(key);
    else answer.standing = standing;
    return standing;
  }

  async #ask(id: SourceId): Promise<Standing | undefined> {
    try {
      return await this.#mesh.membership.standingOf(id);
    } catch {
      this.#silentUntil_ms = performance.now() + refusalLimits.answerLife_ms;
      return undefined;
    }
  }

  async #standing(token: string, address: string): Promise<Standing> {
    const isPossible = token.length <= submitLimits.maxTokenLength && /^[\w.~-]+$/.test(token);
    if (!isPossible) return { standing: 'unknown', owner: null, since_ms: null };
    const id = { token: tokenHash(token) };
    const known = this.#known(id);
    // a device that has just enrolled is known to its registrar first
    const mayAsk = known.standing === 'unknown' && this.#attempts.limited_ms(address) === 0;
    return mayAsk ? await this.ask(id) ?? known : known;
  }

  /** Why this node's site takes nothing by a token that was made at a cloud node; undefined when it does, or for another. */
  #cloudRefusal(token: Uint8Array): InkmeshError | undefined {
    try {
      refuseCloudToken(this.#mesh.ledger, this.#mesh.self.site, token);
      return undefined;
    } catch (thrown) {
      return asInkmeshError(thrown);
    }
  }

  /** Counts and notes a refusal, but for those of an address that had too many. */
  #note({ user, address }: Shown, what: string, owner: Standing['owner']): void {
    if (this.#attempts.limited_ms(address) > 0) return;
    const count = this.#attempts.failed(address);
    const shown = user === null ? 'token' : 'user name and password';
    const last = count === refusalLimits.maxFailures ? '; no more of this address for a while' : '';
    const device = owner === null ? '' : ` of device ${owner.device}`;
    const detail = `${what} ${shown}${device}${last}`;
    this.#audit.record({ what: 'refused', who: owner?.user ?? null, from: address, detail });
  }

  /** @throws InkmeshError `forbidden` */
  #refuseCloud(shown: Shown, owner: Standing['owner']): void {
    const refused = this.#cloudRefusal(tokenHash(shown.token));
    if (refused === undefined) return;
    this.#note(shown, 'the cloud’s', owner);
    throw refused;
  }

  /** @throws InkmeshError */
  #refuse(shown: Shown, standing: Standing): void {
    const { standing: what, owner } = standing;
    const limited_ms = this.#attempts.limited_ms(shown.address);
    this.#note(shown, what, what === 'unknown' ? null : owner);
    if (what !== 'unknown') throw shutOut(standing);
    if (limited_ms > 0) {
      const retry_s = Math.ceil(limited_ms / 1000);
      throw new InkmeshError('busy', `too many wrong passwords: wait for ${retry_s} s`, {
        retry_s: String(retry_s),
      });
    }
  }
}

export function idOf(source: Source): SourceId {
  if ('token' in source) return { token: tokenHash(source.token) };
  const { user, device } = source;
  return { credential: { user, device } };
}

function shutOut({ standing }: Standing): InkmeshError {
  const how = standing === 'expired' ? 'has expired' : 'is revoked';
  return new InkmeshError(
    'unauthenticated',
    `this printer address ${how}: ask an administrator for a new one`,
  );
}
