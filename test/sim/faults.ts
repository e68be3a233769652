/** The steps of a simulation, drawn from its seed: each says all of itself, so that any of them can be left out. */
import { type Fate, fates } from './driver.ts';
import { Random } from './random.ts';

/** how often each is drawn, among all */
const weights = {
  submit: 26,
  release: 34,
  replay: 6,
  cancel: 2,
  kill: 4,
  fuse: 5,
  cut: 2,
  start: 8,
  sleep: 3,
  wake: 5,
  partition: 2,
  'one-way': 3,
  heal: 5,
  slow: 2,
  break: 3,
  jump: 3,
  full: 2,
  roomy: 4,
  mend: 7,
  remove: 0.4,
  rogue: 6,
  lie: 3,
  night: 0.4,
};
export type Op = keyof typeof weights;

export interface Step {
  readonly op: Op;
  /** indices of nodes */
  readonly node: number;
  readonly other: number;
  /** from 0 to less than 1: which job, how many octets, how many writes */
  readonly pick: number;
  readonly fate: Fate;
  readonly confirm: boolean;
  /** how long the next step is away */
  readonly wait_ms: number;
}

const entries = Object.entries(weights) as [Op, number][];
const total = entries.reduce((sum, [, weight]) => sum + weight, 0);

export function drawSteps(seed: number, count: number, nodes: number): Step[] {
  const random = new Random(`steps ${seed}`);
  return Array.from({ length: count }, () => drawStep(random, nodes));
}

function drawStep(random: Random, nodes: number): Step {
  let at = random.fraction() * total;
  const op = entries.find(([, weight]) => (at -= weight) < 0)?.[0] ?? 'heal';
  const span_ms = random.pick([20, 100, 200, 500, 1000, 2000, 8000]);
  return {
    op,
    node: random.below(nodes),
    other: random.below(nodes),
    pick: random.fraction(),
    fate: random.chance(0.5) ? 'prints' : random.pick(fates),
    confirm: random.chance(0.5),
    wait_ms: Math.ceil(random.fraction() * span_ms),
  };
}

export function describe({ op, node, other, pick, fate, confirm, wait_ms }: Step): string {
  const how = op === 'release' ? ` ${fate}${confirm ? ' confirming' : ''}` : '';
  return `${op} n${node + 1} n${other + 1} ${pick.toFixed(3)}${how}, then ${wait_ms} ms`;
}
