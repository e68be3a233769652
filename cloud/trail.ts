/**
 * The trail of what operators do: what they have asked for on this node's page, and what registrars have stated for
 * anybody, on their own command line too. It is only added to. `inkmesh audit` shows it with what the node itself was
 * asked and whom it refused, which is cut when it grows.
 */
import { type Fact, type Log, type Mesh, revokedKind, siteKind, type UserIdentity } from '../mesh/mod.ts';
import { isOperators } from '../src/api/passed.ts';
import type { Audit, AuditView } from '../src/audit.ts';
import type { CloudDb } from './db.ts';

export interface TrailOptions {
  mesh: Pick<Mesh, 'ledger' | 'nameOf'>;
  db: Pick<CloudDb, 'note' | 'trail'>;
  audit: Pick<Audit, 'list' | 'record'>;
  log: Log;
}

export class Trail {
  readonly #options: TrailOptions;

  constructor(options: TrailOptions) {
    this.#options = options;
    options.mesh.ledger.onFact((fact) => this.#heard(fact));
    this.#catchUp();
  }

  /** Newest first. */
  list(limit: number): AuditView[] {
    const { db, audit } = this.#options;
    return [...db.trail(limit), ...audit.list(limit)].sort((a, b) => a.at < b.at ? 1 : a.at > b.at ? -1 : 0)
      .slice(0, limit);
  }

  /** What operators did, without all else. */
  operators(limit: number): AuditView[] {
    return this.#options.db.trail(limit);
  }

  /**
   * An administrator's request goes to a registrar; users' releases are no matter of this trail.
   * @returns what is told the status of the answer. Refusals go where others go: the trail is never cut
   */
  passes(by: UserIdentity, { method, path }: { method: string; path: string }): (status: number) => void {
    if (!isOperators(path)) return () => {};
    const entry = (what: 'asked' | 'refused', how: string) =>
      ({ what, who: by.user, from: null, detail: `${method} ${path}: ${how}` }) as const;
    // before it goes: what a registrar does and this node does not live to hear of is in the trail too
    this.#note(entry('asked', 'passed on'));
    return (status) => {
      if (status < 400) this.#note(entry('asked', 'done'));
      else this.#options.audit.record(entry('refused', `refused with ${status}`));
    };
  }

  /** What was stated while this node did not run, or could not write. */
  #catchUp(): void {
    const { ledger } = this.#options.mesh;
    for (const kind of [siteKind.name, revokedKind.name]) {
      for (const { subject } of ledger.all(kind)) {
        for (const fact of ledger.about(kind, subject)) this.#heard(fact);
      }
    }
  }

  #heard(fact: Fact): void {
    const { mesh } = this.#options;
    const by = `stated by ${mesh.nameOf(fact.author)}`;
    const decided = (detail: string) => {
      const once = { id: `${fact.author}/${fact.seq}`, time_ms: fact.time_ms };
      this.#note({ what: 'decided', who: null, from: null, detail: `${detail}; ${by}` }, once);
    };
    if (fact.kind === siteKind.name) {
      const said = Object.entries(fact.body as object).map(([name, value]) => `${name} ${String(value)}`);
      decided(`site ${fact.subject}: ${said.join(', ')}`);
    } else if (fact.kind === revokedKind.name) {
      decided(`${fact.subject} is revoked`);
    }
  }

  #note(...entry: Parameters<CloudDb['note']>): void {
    try {
      this.#options.db.note(...entry);
    } catch (thrown) {
      this.#options.log('error', 'the trail cannot be written', { ...entry[0], reason: String(thrown) });
    }
  }
}
