/** Tells those who look at lists of jobs that something in them may have changed. */
import { InkmeshError } from '../../mesh/errors.ts';
import type { Fact, JobBody, Mesh } from '../../mesh/mod.ts';
import { liveLimits } from '../limits.ts';

interface Watcher {
  user: string;
  tell(): void;
  /** when it is told of what concerns everybody */
  soon: ReturnType<typeof setTimeout> | undefined;
}

/** kinds of facts that the lists of one user show, and that all lists do */
const ofJobs = new Set(['job', 'settled', 'withdrawn']);
const ofAll = new Set(['printer', 'revoked']);

export class Live {
  readonly #mesh: Pick<Mesh, 'ledger' | 'members'>;
  readonly #watchers = new Set<Watcher>();
  #look: ReturnType<typeof setInterval> | undefined;
  #awake = '';

  constructor(mesh: Pick<Mesh, 'ledger' | 'members'>) {
    this.#mesh = mesh;
    mesh.ledger.onFact((fact) => this.#onFact(fact));
  }

  /**
   * Calls `tell` for what may concern a user's lists: facts, and nodes that wake up or fall asleep, as titles come and go
   * with them.
   * @returns what ends it
   * @throws InkmeshError `busy` when too many look already
   */
  watch(user: string, tell: () => void): () => void {
    const mine = [...this.#watchers].filter((watcher) => watcher.user === user).length;
    if (this.#watchers.size >= liveLimits.maxWatchers || mine >= liveLimits.maxWatchersPerUser) {
      throw new InkmeshError('busy', 'too many pages are open: close some of them');
    }
    const watcher: Watcher = { user, tell, soon: undefined };
    this.#watchers.add(watcher);
    if (this.#look === undefined) {
      this.#awake = this.#members();
      this.#look = setInterval(() => this.#lookAround(), liveLimits.membersLook_ms);
    }
    return () => {
      this.#watchers.delete(watcher);
      clearTimeout(watcher.soon);
      if (this.#watchers.size > 0) return;
      clearInterval(this.#look);
      this.#look = undefined;
    };
  }

  #onFact({ kind, subject, body }: Fact): void {
    if (this.#watchers.size === 0) return;
    if (ofAll.has(kind)) return this.#tellAll();
    if (!ofJobs.has(kind)) return;
    const job = kind === 'job' ? body : this.#mesh.ledger.first('job', subject)?.body;
    const owner = (job as JobBody | undefined)?.owner;
    this.#tell(({ user }) => user === owner);
  }

  #lookAround(): void {
    const awake = this.#members();
    if (awake === this.#awake) return;
    this.#awake = awake;
    this.#tellAll();
  }

  #members(): string {
    return this.#mesh.members().map(({ identity }) => identity.peerId).sort().join();
  }

  /** Not at once: each asks anew when it is told. */
  #tellAll(): void {
    for (const watcher of this.#watchers) {
      watcher.soon ??= setTimeout(() => {
        watcher.soon = undefined;
        watcher.tell();
      }, Math.random() * liveLimits.spread_ms).unref();
    }
  }

  #tell(whom: (watcher: Watcher) => boolean): void {
    for (const watcher of this.#watchers) if (whom(watcher)) watcher.tell();
  }
}
