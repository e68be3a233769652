/** One simulation: its steps, then everything healed, and what must hold then. */
import './crypto.ts';
import { decode } from '../../mesh/codec.ts';
import { commits, keyBytes } from '../../mesh/envelope.ts';
import type { SettledBody } from '../../mesh/job-facts.ts';
import { leaseSchema } from '../../mesh/lease.ts';
import type { Broken } from './driver.ts';
import { describe, drawSteps, type Step } from './faults.ts';
import type { SimNode } from './node.ts';
import { Trace } from './trace.ts';
import { type Job, retention_ms, Violation } from './watch.ts';
import { nodeCount, World } from './world.ts';

export interface Result {
  /** SHA-256 of all that happened */
  hash: string;
  violation: Violation | undefined;
  lines: readonly string[];
  jobs: number;
  accepted: number;
  printed: number;
}

/** all links are up again, clocks heard, facts exchanged, votes lapsed */
const calm_ms = 90_000;
const settling_ms = 60_000;
const attempts = 6;
const between_ms = 12_000;
/** of all seeds, how many also wait until all is expired */
const expiryShare = 5;

/** @param steps those of the seed, or some of them */
export async function simulate(seed: number, steps: readonly Step[], broken?: Broken): Promise<Result> {
  const trace = new Trace();
  const world = await World.open(seed, trace, broken);
  let violation: Violation | undefined;
  const { stackTraceLimit } = Error;
  // most errors are refusals that somebody expects, and where they were made costs more to find out than all else
  Error.stackTraceLimit = 0;
  try {
    for (const [i, step] of steps.entries()) {
      trace.say(`${world.timeline.now_ms} ${i} ${describe(step)}`);
      await world.step(step);
    }
    trace.say(`${world.timeline.now_ms} everything is healed`);
    await conclude(world, trace, seed % expiryShare === 0);
  } catch (thrown) {
    if (!(thrown instanceof Violation)) throw thrown;
    violation = thrown;
    trace.say(thrown.message);
  } finally {
    world.dispose();
    Error.stackTraceLimit = stackTraceLimit;
  }
  const jobs = world.jobs();
  const count = (which: (job: Job) => boolean) => jobs.filter(which).length;
  return {
    ...{ hash: trace.digest(), violation, lines: trace.lines(), jobs: jobs.length },
    accepted: count(({ accepted }) => accepted),
    printed: count(({ printed }) => printed.size > 0),
  };
}

export const stepsOf = (seed: number, count: number): Step[] => drawSteps(seed, count, nodeCount);

async function conclude(world: World, trace: Trace, expires: boolean): Promise<void> {
  world.mend(true);
  await world.timeline.advance(calm_ms);
  world.watch.check(world.nodes);
  for (const node of world.alive) {
    if (!node.up) throw new Violation('a node starts', `${node.name} is not up`);
  }
  converged(world);
  for (const job of world.jobs()) {
    // its claimant may have gone for ever before it could tell anybody
    job.ended = isOver(world, job);
    if (job.accepted && !job.ended) await claimable(world, trace, job);
  }
  await world.timeline.advance(settling_ms);
  world.watch.check(world.nodes);
  converged(world);
  erased(world);
  if (!expires) return;
  await world.rest(2 * retention_ms);
  await world.timeline.advance(5 * calm_ms);
  world.watch.check(world.nodes);
}

/** Every node has the same facts about every job. */
function converged(world: World): void {
  for (const id of world.subjects()) {
    const views = world.alive.map((node) => viewOf(node, id));
    const odd = views.findIndex((view) => view !== views[0]);
    if (odd >= 0) {
      throw new Violation(
        'facts converge',
        `${id}: ${views[0]} and ${views[odd]} at ${world.alive[odd]?.name}`,
      );
    }
  }
}

function isOver(world: World, job: Job): boolean {
  const settled = world.alive[0]!.running!.mesh.ledger.about('settled', job.id);
  return settled.some(({ body }) => (body as SettledBody).outcome !== 'interrupted');
}

function viewOf(node: SimNode, id: string): string {
  const { ledger } = node.running!.mesh;
  return ['job', 'withdrawn', 'settled'].flatMap((kind) =>
    ledger.about(kind, id).map(({ author, seq }) => `${kind} ${author.slice(-6)}:${seq}`)
  ).sort().join(' ');
}

/** A job that was acknowledged and is not over prints, once its owner has confirmed what may have printed already. */
async function claimable(world: World, trace: Trace, job: Job): Promise<void> {
  if (world.timeline.now_ms - job.submitted_ms > retention_ms - 2 * calm_ms) return;
  secret(world, job);
  // a machine that is asleep is given its share later, and it may have been the rogue, while another holder is gone
  if (world.honest.filter(({ peer }) => job.holders.includes(peer)).length < 2) return;
  const at = world.honest[Number.parseInt(job.id.slice(0, 4), 16) % world.honest.length]!;
  let last = '';
  for (let attempt = 0; attempt < attempts; attempt++) {
    const asked: { outcome?: string } = {};
    void world.driver.release(at, job, 'prints', true).then((outcome) => asked.outcome = outcome);
    for (let waited_ms = 0; asked.outcome === undefined && waited_ms < settling_ms; waited_ms += 50) {
      await world.timeline.advance(50);
    }
    world.watch.check(world.nodes);
    last = asked.outcome ?? 'no answer';
    trace.say(`${world.timeline.now_ms} ${job.id} at ${at.name}: ${last}`);
    if (last === 'printed') return;
    if (job.ended) return;
    await world.timeline.advance(between_ms);
  }
  const holders = world.nodes.filter(({ peer }) => job.holders.includes(peer)).map((node) =>
    `${node.name}${node.removed ? ' (gone)' : ''}`
  );
  throw new Violation('no acknowledged job is lost', `${job.id}, held by ${holders.join(', ')}: ${last}`);
}

/** What one holder has opens nothing. */
function secret(world: World, job: Job): void {
  const pieces = (nodes: readonly SimNode[]) =>
    nodes.flatMap(({ disk }) => disk.storage.pieces.get(job.id) ?? []);
  for (const { share, header } of pieces(world.alive)) {
    if (share.length >= keyBytes && commits(share.subarray(0, keyBytes), job.id, header)) {
      throw new Violation('one share opens nothing', job.id);
    }
  }
  const kept = pieces(world.alive.filter(({ disk }) => !disk.hasLied));
  if (new Set(kept.map(({ share }) => share.toHex())).size < kept.length) {
    throw new Violation('one share opens nothing', `${job.id}: two holders have the same`);
  }
}

/** Of a job that is over nothing is left on honest nodes that run. */
function erased(world: World): void {
  for (const job of world.jobs()) {
    if (!job.ended) continue;
    for (const { disk, name } of world.honest) {
      const piece = disk.storage.pieces.get(job.id);
      if (piece === undefined || !piece.sealed) continue;
      if (piece.share.length > 0) {
        const { vote, erased } = decode(leaseSchema, piece.lease);
        const found = `${vote?.phase} ${vote?.claim} erased ${erased}`;
        throw new Violation('what is over is erased', `${job.id} at ${name}: ${found}`);
      }
    }
  }
}
