/**
 * Nodes that are killed at a named point of a job's way (test/fakes/faulty-node.ts), and what must hold
 * whichever point it was: what was accepted prints, nothing prints twice unconfirmed, nothing is left of it then.
 */
import { fileURLToPath } from 'node:url';
import process from 'node:process';
import * as assert from 'uvu/assert';
import { runInside } from '../../src/cli/run.ts';
import type { JobView } from '../../src/job.ts';
import type { Released } from '../../src/release/release.ts';
import { waitFor } from '../fakes/processes.ts';
import { type Sink, startSink } from '../fakes/sink.ts';
import { makeWish, takeVictim, unwish, type Wish } from '../fakes/wish.ts';
import { makePdf, type Organisation, type Pdf, startOrganisation } from './organisation.ts';
import { envelopes, inState, jobsAt } from './remains.ts';

const patience_ms = 40_000;

/** What living nodes keep, to be compared with later. */
type Kept = Map<string, { pieces: number; files: string[] }>;

export interface Accepted {
  readonly id: string;
  /** names */
  readonly holders: readonly string[];
}

export class KillTests {
  readonly org: Organisation;
  readonly sink: Sink;

  private constructor(org: Organisation, sink: Sink) {
    this.org = org;
    this.sink = sink;
  }

  /** An organisation of so many nodes, each of which dies on wish, and a RAW printer `raw`. */
  static async start(nodes: number): Promise<KillTests> {
    const sink = await startSink();
    const tests = new KillTests(await startOrganisation({ nodes }), sink);
    await Promise.all(tests.names.map((name) => tests.#run(name)));
    await tests.org.connected();
    await tests.org.addPrinter(sink.uri, 'raw');
    return tests;
  }

  async stop(): Promise<void> {
    await this.org.stop();
    await this.sink.stop();
  }

  get names(): string[] {
    return this.org.nodes.map(({ name }) => name);
  }

  get living(): string[] {
    return this.org.nodes.filter(({ alive }) => alive).map(({ name }) => name);
  }

  /** @returns what `action` gives, undefined when it failed, and the node that was killed meanwhile */
  async killing<T>(
    wish: Omit<Wish, 'nth'> & { nth?: number },
    action: () => Promise<T>,
  ): Promise<{ result: T | undefined; victim: string }> {
    makeWish(this.org.dir, { nth: 1, ...wish });
    try {
      const done = action().catch(() => undefined);
      const victim = await waitFor(() => takeVictim(this.org.dir), {
        deadline_ms: patience_ms,
        what: `one of ${wish.nodes.join(', ')} to come to "${wish.point}"`,
      });
      await this.org.kill(victim);
      return { result: await done, victim };
    } finally {
      unwish(this.org.dir);
    }
  }

  /** Starts what is dead, and waits until every node has every other one. */
  async revive(): Promise<void> {
    const dead = this.org.nodes.filter(({ alive }) => !alive);
    await Promise.all(dead.map(({ name }) => this.#run(name)));
    await this.org.connected();
  }

  #run(name: string): Promise<void> {
    const flags = process.versions['deno'] === undefined ? [] : ['run', '--allow-all'];
    const entry = fileURLToPath(new URL('../fakes/faulty-node.ts', import.meta.url));
    return this.org.restart(name, { wrapper: [process.execPath, ...flags, entry] });
  }

  print(pdf: Pdf, node: string): Promise<Accepted> {
    return runInside<Accepted>(['print', pdf.file, ...this.org.as('ada', node)]);
  }

  release(id: string, node: string, confirm: readonly string[] = []): Promise<Released> {
    const confirmed = confirm.flatMap((claim) => ['--confirm-reprint', claim]);
    return runInside(['release', id, '--printer', 'raw', ...this.org.as('ada', node), ...confirmed]);
  }

  /** How often a document has come out whole. */
  prints({ sha256 }: Pdf): number {
    return this.sink.documents.filter((document) => document.sha256 === sha256).length;
  }

  async untilPrinted(pdf: Pdf, times: number): Promise<void> {
    await waitFor(() => this.prints(pdf) >= times ? true : undefined, {
      deadline_ms: patience_ms,
      what: `print ${times} of the document`,
    });
    assert.is(this.prints(pdf), times);
  }

  /** Waits until every living node lists a job in this state. @returns it as the first of them lists it */
  async listed(id: string, state: string): Promise<JobView> {
    const views = await Promise.all(this.living.map((node) => inState(this.org, { node, id, state })));
    return views[0] as JobView;
  }

  /** Waits until all nodes list the same unfinished jobs. @returns their names */
  async unfinished(): Promise<string[]> {
    const open = (jobs: readonly JobView[]) =>
      jobs.filter(({ state }) => !['printed', 'sent', 'cancelled'].includes(state)).map(({ id }) => id);
    return await waitFor(async () => {
      const lists = await Promise.all(this.names.map(async (name) => open(await jobsAt(this.org, name))));
      const [first = []] = lists;
      return lists.every((list) => list.join() === first.join()) ? first : undefined;
    }, { deadline_ms: patience_ms, what: 'all nodes to list the same jobs' });
  }

  async kept(): Promise<Kept> {
    const found: Kept = new Map();
    for (const node of this.org.nodes.filter(({ alive }) => alive)) {
      const { holding } = await runInside<{ holding: { jobs: number } }>([
        'status',
        ...this.org.as('ada', node.name),
      ]);
      found.set(node.name, { pieces: holding.jobs, files: envelopes(node) });
    }
    return found;
  }

  /** Waits until living nodes keep no piece and no file that they did not keep before. */
  async nothingMore(before: Kept): Promise<void> {
    let more: string[] = [];
    const look = async () => {
      more = [...await this.kept()].flatMap(([name, { pieces, files }]) => {
        const old = before.get(name) ?? { pieces: 0, files: [] };
        const fresh = files.filter((file) => !old.files.includes(file));
        return fresh.length === 0 && pieces <= old.pieces
          ? []
          : [`${name}: ${pieces - old.pieces} pieces, files ${fresh.join(' ')}`];
      });
      return more.length === 0 ? true : undefined;
    };
    try {
      await waitFor(look, { deadline_ms: patience_ms, what: 'every trace to be gone' });
    } catch (cause) {
      throw new Error(`left behind: ${more.join('; ')}`, { cause });
    }
  }

  /**
   * Brings a job of any state to its end, and checks on the way that only what cannot have come out prints without
   * its owner's word.
   * @param received octets that the printer had before this job
   */
  async finish(
    id: string,
    state: 'held' | 'interrupted' | 'sent',
    pdf: Pdf,
    received: number,
  ): Promise<void> {
    const view = await this.listed(id, state);
    const before = this.prints(pdf);
    const [node] = this.living as [string];
    if (state === 'held') {
      assert.is(this.sink.received, received, 'a job is free again, and something of it came out');
      assert.is((await this.release(id, node)).outcome, 'sent');
      return await this.untilPrinted(pdf, 1);
    }
    await assertRefused(this.release(id, node));
    assert.is(this.prints(pdf), before, 'printed again without confirmation');
    if (state === 'sent') return await this.untilPrinted(pdf, 1);
    assert.is.not(view.claims.length, 0);
    assert.is((await this.release(id, node, view.claims)).outcome, 'sent');
    await this.untilPrinted(pdf, before + 1);
  }
}

async function assertRefused(releasing: Promise<Released>): Promise<void> {
  assert.is((await releasing).outcome, 'refused');
}

/** A fresh document of several chunks. */
export function document(): Pdf {
  return makePdf(2 * 1024 * 1024);
}
