import './crypto.ts';
import { simulate, stepsOf } from './simulate.ts';
const seed = Number(process.argv[2]);
const n = Number(process.argv[3] ?? 500);
const t = performance.now();
const r = await simulate(seed, stepsOf(seed, n));
if (process.argv[4]) console.log(r.lines.join('\n'));
console.log(
  seed,
  n,
  r.violation?.message,
  r.jobs,
  r.accepted,
  r.printed,
  r.hash.slice(0, 12),
  Math.round(performance.now() - t),
  'ms',
);
