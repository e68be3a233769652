/** What a cloud node takes down now and then: who is connected, and how much has passed for each site. */
import type { Log, Mesh } from '../mesh/mod.ts';
import type { CloudDb } from './db.ts';

const look_ms = 10_000;

export interface WatchOptions {
  mesh: Pick<Mesh, 'members' | 'relayed'>;
  db: Pick<CloudDb, 'see' | 'relayed' | 'addRelayed'>;
  log: Log;
}

export class Watch {
  readonly #options: WatchOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  /** octets before this run, and of this run those that are in the database */
  readonly #before: ReadonlyMap<string, number>;
  #written: ReadonlyMap<string, number> = new Map();

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#before = options.db.relayed();
    this.#timer = setInterval(() => this.#look(), look_ms);
  }

  /** Octets that have ever passed, by site. */
  relayed(): Map<string, number> {
    const sum = new Map(this.#before);
    for (const [site, bytes] of this.#passed()) sum.set(site, (sum.get(site) ?? 0) + bytes);
    return sum;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#look();
  }

  /** Octets of this run, by site: what its nodes have sent, and what they got. */
  #passed(): Map<string, number> {
    const { bySite } = this.#options.mesh.relayed();
    return new Map([...bySite].map(([site, { in: got, out }]) => [site, got + out]));
  }

  #look(): void {
    const { mesh, db, log } = this.#options;
    try {
      db.see(mesh.members().map(({ identity }) => identity.peerId));
      const now = this.#passed();
      const more = [...now].map(([site, bytes]) => [site, bytes - (this.#written.get(site) ?? 0)] as const);
      db.addRelayed(new Map(more.filter(([, bytes]) => bytes > 0)));
      this.#written = now;
    } catch (thrown) {
      log('error', 'what this node has seen cannot be written', { reason: String(thrown) });
    }
  }
}
