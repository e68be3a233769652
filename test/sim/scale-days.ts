/**
 * Many jobs over many days at two nodes with real databases: what a job that is still listed costs in memory and on
 * disk, and what is left of the days that have been dropped. The nodes sleep at night.
 */
import { drawFrom } from './crypto.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { jobKind } from '../../mesh/job-facts.ts';
import { newJobId } from '../../mesh/job-id.ts';
import type { Mesh } from '../../mesh/mod.ts';
import { State } from '../../src/state.ts';
import { Machine, start_ms } from './clock.ts';
import { SimNetwork } from './network.ts';
import { addressOf } from './node.ts';
import { organisation } from './org.ts';
import { Random } from './random.ts';
import { StepTimeline } from './scale-clock.ts';
import { openNode, stateJob } from './scale-site.ts';

const day_ms = 24 * 3600_000;
/** how long the nodes are awake each day: longer than it takes until past days are looked for */
const awake_ms = 10 * 60_000;
const step_ms = 250;
/** documents that nothing happens to are put away within this time */
const calm_ms = 3 * 60_000;

export interface Sample {
  day: number;
  /** jobs that the nodes list */
  live: number;
  /** octets of both nodes: used heap and what lies outside it after collection, while the day's document is in use */
  busy: number;
  /** the same when no document is */
  calm: number;
  /** octets of both databases: pages in use */
  disk: number;
  /** octets of the files, with what is free in them */
  files: number;
}

/** What a job costs one node, in octets. */
export interface Cost {
  /** the most that there was on any day for each live job, while the day's document was in use, and with none in use */
  busy: number;
  calm: number;
  disk: number;
  /** what memory has grown by while days were dropped, for each job of theirs, and the database */
  leftInMemory: number;
  leftOnDisk: number;
}

/** jobs of the first day, which only makes code and pools what they are going to be */
const firstJobs = 300;
/** from here on each evening a day is dropped, and one has come */
const steadyDay = 3;

/** @param jobs on each day after the first */
export async function days(
  count: number,
  jobs: number,
  tell: (sample: Sample) => void = () => {},
): Promise<Sample[]> {
  const pair = await Pair.open();
  try {
    const samples: Sample[] = [];
    for (let day = 0; day < count; day++) {
      const sample = await pair.day(day, day === 0 ? firstJobs : jobs);
      samples.push(sample);
      tell(sample);
    }
    return samples;
  } finally {
    await pair.close();
  }
}

export function costOf(samples: readonly Sample[], jobs: number): Cost {
  const [first, ...others] = samples as [Sample, ...Sample[]];
  const [steady, last] = [samples[steadyDay]!, samples.at(-1)!];
  const most = (what: 'busy' | 'calm' | 'disk') =>
    Math.max(...others.map((sample) => (sample[what] - first[what]) / (2 * (sample.live - first.live))));
  const left = (what: 'calm' | 'disk') =>
    (last[what] - steady[what]) / (2 * jobs * (samples.length - 1 - steadyDay));
  return {
    ...{ busy: most('busy'), calm: most('calm'), disk: most('disk') },
    ...{ leftInMemory: left('calm'), leftOnDisk: left('disk') },
  };
}

interface Node {
  dir: string;
  state: State;
  machine: Machine;
  mesh: Mesh;
}

class Pair {
  readonly #timeline = new StepTimeline();
  readonly #network: SimNetwork;
  readonly #nodes: Node[] = [];
  readonly #random = new Random('holders of days');

  private constructor() {
    this.#network = new SimNetwork({
      ...{ timeline: this.#timeline, random: new Random('network of days'), delay_ms: 5, note: () => {} },
    });
  }

  static async open(): Promise<Pair> {
    const org = await organisation();
    const all = [await org.node('pc-1', 'a', []), await org.node('pc-2', 'a', [])];
    drawFrom(new Random('crypto of days'));
    const pair = new Pair();
    for (const [i, keys] of all.entries()) {
      const dir = mkdtempSync(join(tmpdir(), 'inkmesh-days-'));
      const state = new State(dir);
      // nothing is cut off here, and what is measured is room
      state.run('PRAGMA synchronous = OFF');
      const machine = new Machine(pair.#timeline);
      const parts = { org, keys, index: i + 1, machine, network: pair.#network, storage: state };
      const mesh = await openNode({ ...parts, peers: [addressOf(2 - i)] });
      pair.#nodes.push({ dir, state, machine, mesh });
    }
    return pair;
  }

  /** A day's jobs, then a night. */
  async day(day: number, jobs: number): Promise<Sample> {
    const timeline = this.#timeline;
    for (const { machine } of this.#nodes) machine.wake();
    const evening_ms = timeline.now_ms + awake_ms;
    const steps = awake_ms / step_ms;
    const { mesh } = this.#nodes[0]!;
    let stated = 0;
    for (let step = 1; step <= steps; step++) {
      for (; stated < jobs * step / steps; stated++) {
        await this.#state(mesh);
      }
      await timeline.advance(step_ms);
    }
    const busy = memory();
    await timeline.advance(calm_ms);
    const sample = { day, live: this.#live(), busy, calm: memory(), ...this.#disk() };
    for (const { machine } of this.#nodes) machine.sleep();
    await timeline.advance(evening_ms + day_ms - awake_ms - timeline.now_ms);
    return sample;
  }

  async #state(mesh: Mesh): Promise<void> {
    const first = this.#random.below(peers.length);
    const others = [1 + this.#random.below(5), 6 + this.#random.below(6)];
    const holders = [0, ...others].map((by) => peers[(first + by) % peers.length]!);
    await stateJob(mesh, newJobId(mesh.self.peerId), holders, start_ms + this.#timeline.now_ms);
  }

  /** @throws Error when the two nodes do not list the same */
  #live(): number {
    const [own = 0, other] = this.#nodes.map(({ mesh }) => mesh.ledger.all(jobKind.name).length);
    if (own !== other) throw new Error(`one node lists ${own} jobs, the other ${other}`);
    return own;
  }

  #disk(): { disk: number; files: number } {
    let disk = 0;
    let files = 0;
    for (const { state } of this.#nodes) {
      const pragma = (name: string) => Number(Object.values(state.row(`PRAGMA ${name}`) ?? {})[0]);
      disk += (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
      files += pragma('page_count') * pragma('page_size');
    }
    return { disk, files };
  }

  async close(): Promise<void> {
    for (const { mesh, state, dir } of this.#nodes) {
      await mesh.close();
      state.close();
      rmSync(dir, { recursive: true, force: true });
    }
  }
}

/** So that a fact is as large, and as much like another, as at a site of a dozen machines. */
const peers = Array.from({ length: 12 }, (_, i) => `12D3KooW${'abcdefghijkm'[i]!.repeat(44)}`);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Octets in use after collection: the least of several looks. */
function memory(): number {
  const looks = Array.from({ length: 4 }, () => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  });
  return Math.min(...looks);
}
