/**
 * The demo with several sites: what was printed at one comes out at another one, by a cloud node that can read nothing;
 * an operator turns that off; and without the cloud node each site goes on by itself.
 */
import type { JobView } from '../job.ts';
import type { Released } from '../release/release.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Result, Terminal } from './command.ts';
import { expect, expectUnreadable, keptDocument } from './demo-checks.ts';
import type { DemoNode, DemoSite } from './demo-cluster.ts';
import {
  as,
  type DemoPrinter,
  type DemoUser,
  refusal,
  release,
  type Stage,
  submit,
  type Submitted,
} from './demo-stage.ts';

/** facts travel by way of the cloud node, and a decision takes effect two seconds after it is heard */
const heard_ms = 30_000;

/** @param keep everything is left as it was at first @throws InkmeshError when anything is not as it should be */
export async function playMission(stage: Stage, terminal: Terminal, keep: boolean): Promise<Result> {
  const { cluster, users, printers } = stage;
  const [ada, eve] = users as [DemoUser, DemoUser];
  const [siteA, siteB] = cluster.sites as [DemoSite, DemoSite];
  const [printerA, printerB] = printers as [DemoPrinter, DemoPrinter];
  const [, a2, a3] = siteA.nodes as [DemoNode, DemoNode, DemoNode];
  const [, b2] = siteB.nodes as [DemoNode, DemoNode];
  const first = await submit(stage, ada, a2);
  terminal.say(`4. At site a ada has printed a PDF of ${first.document.length} bytes: job ${first.id}`);
  for (const name of [...first.holders, 'cloud']) {
    await expectUnreadable(cluster.path(name), name, first.marker);
  }
  terminal.say(`     It waits, encrypted, on ${first.holders.join(', ')}; the cloud node has nothing of it.`);
  await untilHeld(stage, ada, b2, first);
  const refused = await refusal(release(stage, first.id, printerB, as(eve, b2)));
  terminal.say(`5. eve asks for ada’s job and is refused: ${refused}`);
  const before = await relayed(stage);
  const released = await printed(stage, first, printerB, as(ada, b2));
  const bytes = await relayed(stage) - before;
  terminal.say(
    `6. At site b ada releases it at ${printerB.name}: ${released.outcome} after ${released.done_ms} ms, ` +
      `byte for byte what went in; ${bytes} bytes went through the cloud node, encrypted`,
  );
  expect(bytes > first.document.length, 'the document has come through the cloud node');
  const second = await submit(stage, ada, a3);
  await untilHeld(stage, ada, b2, second);
  await turnRelay(stage, 'off');
  await untilParted(stage, ada, b2, siteA);
  const off = await refusal(release(stage, second.id, printerB, as(ada, b2)));
  terminal.say(`7. The operator turns the relay of site b off, and b cannot print another one: ${off}`);
  await cluster.stopCloud();
  const offline = await printed(stage, second, printerA, as(ada, a2));
  terminal.say(
    `8. The cloud node is gone. At site a ada releases that document at ${printerA.name}: ` +
      `${offline.outcome} after ${offline.done_ms} ms`,
  );
  if (keep) {
    await cluster.runCloud();
    await turnRelay(stage, 'on');
  }
  return {
    json: { id: first.id, holders: first.holders, released, refused, printed: true, relay_off: off, offline },
    text: 'The demo has done what it should.',
  };
}

async function turnRelay({ cluster, inside }: Stage, to: 'on' | 'off'): Promise<void> {
  await inside(['site', 'set', 'b', 'relay', to, '--dir', cluster.registrar.dir]);
}

/** Octets that the cloud node has relayed, for all sites. */
async function relayed({ cluster, inside }: Stage): Promise<number> {
  const as = ['--credential', `${cluster.registrar.dir}/admin.credential`];
  const dir = cluster.cloud?.dir ?? '';
  const status = await inside<{ relayed_bytes: Record<string, number> }>(['status', '--dir', dir, ...as]);
  return Object.values(status.relayed_bytes).reduce((sum, bytes) => sum + bytes, 0);
}

async function untilHeld(
  { inside }: Stage,
  user: DemoUser,
  node: DemoNode,
  { id }: Submitted,
): Promise<void> {
  await until(async () => {
    const jobs = await inside<JobView[]>(['jobs', ...as(user, node)]);
    return jobs.some((job) => job.id === id && job.state === 'held') ? true : undefined;
  }, `${node.name} hears of the job`);
}

/** Until a node reaches nobody of another site any more. */
async function untilParted(
  { inside }: Stage,
  user: DemoUser,
  node: DemoNode,
  { name }: DemoSite,
): Promise<void> {
  await until(async () => {
    const { members } = await inside<{ members: { site: string }[] }>(['status', ...as(user, node)]);
    return members.every(({ site }) => site !== name) ? true : undefined;
  }, `${node.name} reaches no node of site ${name} any more`);
}

async function printed(
  stage: Stage,
  { id, document }: Submitted,
  printer: DemoPrinter,
  who: readonly string[],
): Promise<Released> {
  const released = await release(stage, id, printer, who);
  const said = `${released.outcome}: ${released.reason ?? ''}`;
  expect(released.outcome === 'printed', `${printer.name} says printed (${said})`);
  await keptDocument(printer.kept, document);
  return released;
}

async function until<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  const deadline_ms = performance.now() + heard_ms;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline_ms) throw new InkmeshError('timeout', `the demo expected that ${what}`);
    await new Promise((again) => setTimeout(again, 100));
  }
}
