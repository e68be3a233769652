/** A document of 100 MB passes through nodes that never have much of it in memory. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JobView } from '../../src/job.ts';
import type { Released } from '../../src/release/release.ts';
import { spawnKept, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { type Sink, startSink } from '../fakes/sink.ts';
import {
  makePdf,
  type Organisation,
  type OrganisationNode,
  type Pdf,
  startOrganisation,
} from './organisation.ts';

const documentBytes = 100_000_000;
const mostGrowthBytes = 64 * 1024 * 1024;
const sample_ms = 50;
const suites = '/usr/share/cups/ipptool';

function residentBytes({ pid }: OrganisationNode): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** Runs `action` and gives the most that each node had resident meanwhile. */
async function peaks(nodes: readonly OrganisationNode[], action: () => Promise<void>): Promise<number[]> {
  const most = nodes.map(() => 0);
  const sample = () => nodes.forEach((node, i) => most[i] = Math.max(most[i] ?? 0, residentBytes(node)));
  const timer = setInterval(sample, sample_ms);
  try {
    await action();
    sample();
  } finally {
    clearInterval(timer);
  }
  return most;
}

/** In by IPPS at the first node, out by RAW through the last one. */
async function through(organisation: Organisation, sink: Sink, pdf: Pdf): Promise<void> {
  const ada = organisation.user('ada');
  const client = spawnKept('ipptool', ['-t', '-f', pdf.file, ada.print_uri, join(suites, 'print-job.test')]);
  assert.is((await client.ended).code, 0, client.stdout() + client.stderr());
  const at = organisation.as('ada', 'a3');
  const job = await waitFor(async () => {
    const { json } = await organisation.ink<JobView[]>(['jobs', ...at]);
    return json.find(({ state }) => state === 'held');
  }, { deadline_ms: 40_000, what: 'the job to be listed' });
  assert.is(job.bytes, pdf.bytes);
  const { json } = await organisation.ink<Released>(['release', job.id, '--printer', 'sink', ...at]);
  assert.is(json.outcome, 'sent');
  assert.equal(sink.documents.at(-1), { bytes: pdf.bytes, sha256: pdf.sha256 });
}

if (requireTools(['ipptool'])) {
  test('100 MB go through, and no node grows by 64 MiB', async () => {
    const organisation = await startOrganisation();
    const sink = await startSink();
    try {
      await organisation.addPrinter(sink.uri, 'sink');
      await through(organisation, sink, makePdf(100_000));
      const before = organisation.nodes.map(residentBytes);
      const large = makePdf(documentBytes);
      const most = await peaks(organisation.nodes, () => through(organisation, sink, large));
      const grown = most.map((bytes, i) => bytes - (before[i] ?? 0));
      const told = grown.map((bytes, i) =>
        `${organisation.nodes[i]?.name} ${(bytes / 2 ** 20).toFixed(1)} MiB`
      );
      console.log(`resident memory grew by: ${told.join(', ')}`);
      for (const bytes of grown) assert.ok(bytes < mostGrowthBytes, told.join(', '));
    } finally {
      await sink.stop();
      await organisation.stop();
    }
  });
}

test.run();
