/**
 * The trail of what operators do: what they have asked for on this node's page, and what registrars have stated for
 * anybody, on their own command line too. It is only added to. `inkmesh audit` shows it with what the node itself was
 * asked and whom it refused, which is cut when it grows.
 */
import { type Fact, type Log, type Mesh, revokedKind, siteKind, type UserIdentity } from '../mesh/mod.ts';
import type { Audit, AuditView } from '../src/audit.ts';
import type { CloudDb } from './db.ts';

export interface TrailOptions {
  mesh: Pick<Mesh, 'ledger' | 'nameOf'>;
  db: Pick<CloudDb, 'note' | 'trail'>;
  audit: Pick<Audit, 'list'>;
  log: Log;
}

export class Trail {
  readonly #options: TrailOptions;

  constructor(options: TrailOptions) {
    this.#options = options;
    options.mesh.ledger.onFact((fact) => this.#heard(fact));
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

  /** An operator's request has gone to a registrar; users' releases are no matter of this trail. */
  passed(by: UserIdentity, { method, path }: { method: string; path: string }, status: number): void {
    if (!path.startsWith('/v1/sites/')) return;
    const detail = `${method} ${path}: ${status < 400 ? 'done' : `refused with ${status}`}`;
    this.#note({ what: status < 400 ? 'asked' : 'refused', who: by.user, from: null, detail });
  }

  #heard(fact: Fact): void {
    const { mesh } = this.#options;
    const by = `stated by ${mesh.nameOf(fact.author)}`;
    if (fact.kind === siteKind.name) {
      const said = Object.entries(fact.body as object).map(([name, value]) => `${name} ${String(value)}`);
      this.#note({
        what: 'decided',
        who: null,
        from: null,
        detail: `site ${fact.subject}: ${said.join(', ')}; ${by}`,
      });
    } else if (fact.kind === revokedKind.name) {
      this.#note({ what: 'decided', who: null, from: null, detail: `${fact.subject} is revoked; ${by}` });
    }
  }

  #note(entry: Parameters<CloudDb['note']>[0]): void {
    try {
      this.#options.db.note(entry);
    } catch (thrown) {
      this.#options.log('error', 'the trail cannot be written', { ...entry, reason: String(thrown) });
    }
  }
}
