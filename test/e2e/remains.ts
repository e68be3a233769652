/** What is left of jobs, and where: asked of the nodes themselves and of their data directories. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runInside } from '../../src/cli/run.ts';
import type { JobView } from '../../src/job.ts';
import { waitFor } from '../fakes/processes.ts';
import type { Organisation, OrganisationNode } from './organisation.ts';

/** Names of whole and half-written envelopes; without whole ones those that are just being stored. */
export function envelopes(node: OrganisationNode): string[] {
  const dir = join(node.dir, 'envelopes');
  return existsSync(dir) ? readdirSync(dir) : [];
}

/** The nodes on which an envelope is being written. */
export function storing(org: Organisation): string[] {
  const isPart = (name: string) => name.endsWith('.part');
  return org.nodes.filter((node) => node.alive && envelopes(node).some(isPart)).map(({ name }) => name);
}

/** The jobs of ada, by the code of the command: a process for each look would take most of a test's time. */
export function jobsAt(org: Organisation, node: string): Promise<JobView[]> {
  return runInside<JobView[]>(['jobs', ...org.as('ada', node)]);
}

/** A job as a node lists it. @throws Error when it does not */
export async function jobAt(org: Organisation, node: string, id: string): Promise<JobView> {
  const found = (await jobsAt(org, node)).find((job) => job.id === id);
  if (found === undefined) throw new Error(`${node} does not list ${id}`);
  return found;
}

/** Waits until a node lists a job in a state. */
export async function inState(
  org: Organisation,
  { node, id, state, deadline_ms = 40_000 }: {
    node: string;
    id: string;
    state: string;
    deadline_ms?: number;
  },
): Promise<JobView> {
  let seen = 'nothing';
  try {
    return await waitFor(async () => {
      const job = (await jobsAt(org, node)).find((job) => job.id === id);
      seen = JSON.stringify(job);
      return job?.state === state ? job : undefined;
    }, { deadline_ms, what: `${node} to list ${id} as ${state}` });
  } catch (cause) {
    throw new Error(`${cause instanceof Error ? cause.message : String(cause)}; it lists ${seen}`, { cause });
  }
}

/** What living nodes keep: a line for each that has an envelope, whole or not, or a piece in its table. */
export async function kept(org: Organisation): Promise<string[]> {
  const found = await Promise.all(
    org.nodes.filter(({ alive }) => alive).map(async (node) => {
      const { holding } = await runInside<{ holding: { jobs: number } }>([
        'status',
        ...org.as('ada', node.name),
      ]);
      const files = envelopes(node);
      return holding.jobs + files.length === 0
        ? []
        : [`${node.name}: ${holding.jobs} pieces, files ${files.join(' ')}`];
    }),
  );
  return found.flat();
}

/** Waits until no living node keeps anything. */
export async function nothingKept(org: Organisation, deadline_ms = 40_000): Promise<void> {
  let last: string[] = [];
  try {
    await waitFor(async () => (last = await kept(org)).length === 0 ? true : undefined, {
      deadline_ms,
      what: 'every trace to be gone',
    });
  } catch (cause) {
    throw new Error(`left behind after ${deadline_ms} ms: ${last.join('; ')}`, { cause });
  }
}
