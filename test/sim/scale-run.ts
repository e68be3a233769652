/**
 * `deno task sim:scale [--nodes N] [--facts F] [--jobs J] [--days D] [--seed S]`: what a site of N nodes costs, and J
 * jobs over D days. Prints what it measures; exit code 1 where something is beyond its bound. `--nodes 0` and `--jobs 0`
 * leave a part out.
 */
import './crypto.ts';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { burst, heal, measure, type Measured } from './scale.ts';
import { costOf, days } from './scale-days.ts';
import { ScaleSite } from './scale-site.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1000' },
    facts: { type: 'string', default: '100' },
    jobs: { type: 'string', default: '100000' },
    days: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
  },
});
const [nodes, facts, jobs, dayCount, seed] = [
  ...[values.nodes, values.facts, values.jobs, values.days, values.seed].map(Number),
] as [number, number, number, number, number];
if (![nodes, facts, jobs, dayCount, seed].every((n) => Number.isSafeInteger(n) && n >= 0)) {
  throw new TypeError('the options take whole numbers');
}

let beyond = 0;

function tell(what: string, value: number, bound?: number): void {
  const holds = bound === undefined || value <= bound;
  if (!holds) beyond++;
  const against = bound === undefined ? '' : ` (${holds ? 'at most' : 'BEYOND'} ${Math.round(bound)})`;
  console.log(`  ${what}: ${Math.round(value * 10) / 10}${against}`);
}

function tellTraffic({ sent, mostSent, sentBelow, window_ms, byMethod }: Measured, bound?: number): void {
  tell(`octets sent by a node in ${window_ms / 1000} s`, sent, bound);
  tell('the same of the node that sent most', mostSent);
  tell('the same with multistream-select, yamux and Noise', sentBelow);
  for (const { method, frames, octets } of byMethod) {
    console.log(
      `    ${method}: ${Math.round(octets / nodes)} octets, ${Math.round(frames / nodes * 10) / 10} frames`,
    );
  }
}

async function ofSite(): Promise<void> {
  const site = await ScaleSite.open(seed, nodes);
  console.log(`${nodes} nodes of a site, switched on within 5 s`);
  tellTraffic(await measure(site, 15_000));
  console.log('nothing happens');
  tellTraffic(await measure(site, 60_000), 60 * 1024);
  console.log(`${facts} facts of jobs stated by random nodes within 5 s`);
  const news = await burst(site, facts, 5000, 10_000);
  tell('milliseconds to 99 % of the nodes, the slowest fact', news.slowest_ms, 2000);
  tell('milliseconds to 99 % of the nodes, the median fact', news.median_ms);
  tell('facts that are not everywhere', news.incomplete, 0);
  tell('octets of a fact', news.factBytes);
  tellTraffic(news, 3 * facts * news.factBytes + 10 * 1024);
  tell('connections of the node that has most', news.connections.most, 15);
  tell('connections of a node', news.connections.mean);
  console.log('20 facts stated in two halves that are parted for 60 s, then healed');
  const healed = await heal(site, 20, 60_000);
  tell('milliseconds until 99 % of the nodes have all', healed.most_ms, 60_000);
  tell('milliseconds until all nodes have all', healed.all_ms);
  tellTraffic(healed);
}

async function ofDays(): Promise<void> {
  const each = Math.ceil(jobs / dayCount);
  console.log(`${each * dayCount} jobs over ${dayCount} days at two nodes`);
  const samples = await days(dayCount + 1, each, (sample) => console.log(`  ${JSON.stringify(sample)}`));
  const cost = costOf(samples, each);
  tell('octets in memory for each live job, while documents are in use', cost.busy, 1024);
  tell('octets in memory for each live job, while none is', cost.calm, 1024);
  tell('octets on disk for each live job', cost.disk, 1024);
  tell('octets left in memory of each dropped job', cost.leftInMemory, 16);
  tell('octets left on disk of each dropped job', cost.leftOnDisk, 16);
}

if (jobs > 0) await ofDays();
if (nodes > 0) await ofSite();
process.exitCode = beyond === 0 ? 0 : 1;
