/** What the demo plays with: its organisation, printers and users, and what it does as one of them. */
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Released } from '../release/release.ts';
import type { DemoCluster, DemoNode, Inside } from './demo-cluster.ts';
import { makePdf } from './demo-pdf.ts';
import type { KeepingPrinter } from './demo-printer.ts';

export interface DemoUser {
  name: string;
  credential: string;
  pin: string;
  print_uri: string;
  print_uri_plain: string;
}

export interface DemoPrinter extends KeepingPrinter {
  name: string;
}

export interface Stage {
  cluster: DemoCluster;
  inside: Inside;
  /** one of each site */
  printers: DemoPrinter[];
  users: DemoUser[];
  description: object;
}

export interface Submitted {
  id: string;
  /** names of nodes */
  holders: string[];
  document: Uint8Array;
  /** a word in it */
  marker: string;
}

/** By which a command acts as a user at a node. */
export const as = (user: DemoUser, node: Pick<DemoNode, 'dir'>): string[] => [
  ...['--dir', node.dir, '--credential', user.credential],
];

/** Prints a document at a node. */
export async function submit({ cluster, inside }: Stage, user: DemoUser, node: DemoNode): Promise<Submitted> {
  const marker = `inkmesh-demo-${randomUUID()}`;
  const document = makePdf([marker, 'Second page']);
  const file = join(cluster.dir, 'document.pdf');
  await writeFile(file, document);
  const { id, holders } = await inside<{ id: string; holders: string[] }>(['print', file, ...as(user, node)]);
  return { id, holders, document, marker };
}

export async function release(
  { inside }: Stage,
  job: string,
  printer: Pick<DemoPrinter, 'name'>,
  who: readonly string[],
): Promise<Released> {
  return await inside<Released>(['release', job, '--printer', printer.name, ...who]);
}

/** Why a release is refused. @throws InkmeshError when it is not */
export async function refusal(released: Promise<Released>): Promise<string> {
  let outcome: Released;
  try {
    outcome = await released;
  } catch (thrown) {
    if (thrown instanceof InkmeshError) return thrown.message;
    throw thrown;
  }
  if (outcome.outcome === 'refused') return outcome.reason ?? '';
  throw new InkmeshError('internal', `the demo expected a refusal, and it was ${outcome.outcome}`);
}
