/** One document through the mesh, by the clients and printers that people have. */
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JobView } from '../../src/job.ts';
import type { Released } from '../../src/release/release.ts';
import { startCups } from '../fakes/cups.ts';
import { spawnKept, tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { startSink } from '../fakes/sink.ts';
import { ipptool } from './ipptool.ts';
import { makePdf, type Organisation, type Pdf, sha256, startOrganisation } from './organisation.ts';
import { jobAt, jobsAt, nothingKept } from './remains.ts';

const listed_ms = 2000;
const printer = 'printer-a';

/** The one held job, when every node lists it; within two seconds. */
async function heldEverywhere(org: Organisation): Promise<JobView> {
  const lists = await Promise.all(
    org.nodes.map((node) =>
      waitFor(async () => (await jobsAt(org, node.name)).find(({ state }) => state === 'held'), {
        deadline_ms: listed_ms,
        what: `${node.name} to list the job`,
      })
    ),
  );
  const [job] = lists as [JobView];
  assert.equal(lists, lists.map(() => job));
  return job;
}

/** Releases by the real command line at the last node. */
async function release(
  org: Organisation,
  job: JobView,
  at: string,
  options: string[] = [],
): Promise<Released> {
  const args = ['release', job.id, '--printer', at, ...org.as('ada', 'a3'), ...options];
  return (await org.ink<Released>(args)).json;
}

/** What the printer has kept and the test has not seen yet. */
function keptFiles(org: Organisation): string[] {
  const { kept } = org.printers.find(({ name }) => name === printer) ?? { kept: '' };
  return readdirSync(kept).map((name) => join(kept, name));
}

async function expectKept(org: Organisation, before: readonly string[], pdf: Pdf): Promise<void> {
  const added = keptFiles(org).filter((file) => !before.includes(file));
  assert.is(added.length, 1, 'the printer has printed one document');
  assert.is(await sha256(added[0] ?? ''), pdf.sha256);
}

const tools = requireTools(['ipptool', 'ippeveprinter', 'dbus-daemon']);
const org = await startOrganisation();
const sink = await startSink();
await org.addPrinter(sink.uri, 'sink');
const ada = org.user('ada');

test.after(async () => {
  await org.stop();
  await sink.stop();
});

if (tools) {
  const ways: [string, string, string][] = [
    ['Print-Job over TLS', ada.print_uri, 'print-job'],
    ['Print-Job in the clear', ada.print_uri_plain, 'print-job'],
    ['Create-Job and Send-Document', ada.print_uri, 'create-job'],
  ];
  for (const [way, uri, requests] of ways) {
    test(`${way}: listed everywhere within 2 s, printed, and what came out is what went in`, async () => {
      const pdf = makePdf(300_000);
      const before = keptFiles(org);
      assert.match(await ipptool(uri, requests, pdf.file), 'status-code = successful-ok (successful-ok)');
      const job = await heldEverywhere(org);
      assert.is(job.owner, 'ada');
      assert.is(job.bytes, pdf.bytes);
      assert.is(job.format, 'application/pdf');
      assert.equal([...job.holders].sort(), ['a1', 'a2', 'a3']);
      const eve = (await org.ink<JobView[]>(['jobs', ...org.as('eve', 'a1')])).json;
      assert.equal(eve, []);
      assert.is((await release(org, job, printer)).outcome, 'printed');
      await expectKept(org, before, pdf);
      await nothingKept(org);
    });
  }

  test('a job that its client cancels is erased everywhere', async () => {
    const pdf = makePdf(100_000);
    await ipptool(ada.print_uri, 'print-job', pdf.file);
    const { id } = await heldEverywhere(org);
    await ipptool(ada.print_uri, 'cancel-current-job');
    await nothingKept(org);
    for (const { name } of org.nodes) {
      const state = async () => (await jobAt(org, name, id)).state === 'cancelled' ? true : undefined;
      await waitFor(state, { deadline_ms: listed_ms, what: `${name} to list it as cancelled` });
    }
  });

  test('copies reach the printer: those of the ticket, and those of the release instead', async () => {
    for (const [printed, released, expected] of [['2', undefined, 2], ['2', '3', 3]] as const) {
      const pdf = makePdf(50_000);
      await org.ink(['print', pdf.file, '--copies', printed, ...org.as('ada', 'a2')]);
      const job = await heldEverywhere(org);
      const chosen = released === undefined ? [] : ['--copies', released];
      assert.is((await release(org, job, printer, chosen)).outcome, 'printed');
      assert.is(await lastCopies(), expected);
    }
  });
}

/** The copies of the last job that the printer has done. */
async function lastCopies(): Promise<number> {
  const requests = join(tempDir(), 'last-job.test');
  const lines = [
    ...['OPERATION Get-Jobs', 'GROUP operation-attributes-tag', 'ATTR charset attributes-charset utf-8'],
    ...['ATTR language attributes-natural-language en', 'ATTR uri printer-uri $uri', 'ATTR integer limit 1'],
    ...['ATTR keyword which-jobs completed', 'ATTR keyword requested-attributes all', 'STATUS successful-ok'],
  ];
  writeFileSync(requests, `{\n${lines.join('\n')}\n}\n`);
  const { uri } = org.printers.find(({ name }) => name === printer) ?? { uri: '' };
  return Number(/copies \(integer\) = (\d+)/.exec(await ipptool(uri, requests))?.[1]);
}

test('through RAW to a sink, octet for octet; its trace says what became of it', async () => {
  const pdf = makePdf(2_000_000);
  await org.ink(['print', pdf.file, '--title', 'Figures', ...org.as('ada', 'a2')]);
  const job = await heldEverywhere(org);
  assert.is(job.title, 'Figures');
  const released = await release(org, job, 'sink');
  assert.is(released.outcome, 'sent');
  assert.equal(sink.documents.at(-1), { bytes: pdf.bytes, sha256: pdf.sha256 });
  const times = [released.claimed_ms, released.first_byte_ms, released.last_byte_ms, released.done_ms];
  assert.equal(times, [...times].sort((a, b) => Number(a) - Number(b)), 'times in the order of the steps');
  const show = ['job', 'show', job.id, ...org.as('ada', 'a1')];
  const shown = await waitFor(async () => {
    const { json } = await org.ink<JobView & { trace: { at: string; what: string }[] }>(show);
    return json.state === 'sent' ? json : undefined;
  }, { deadline_ms: 40_000, what: 'a1 to know how it ended' });
  assert.is(shown.printer, 'sink');
  assert.equal(shown.trace.map(({ what }) => what.replace(/ on .*/, '')), [
    'accepted by a2',
    'stored',
    'sent at sink by a3',
  ]);
  for (const { at } of shown.trace) assert.ok(Math.abs(Date.parse(at) - Date.now()) < 60_000);
  await nothingKept(org);
});

if (requireTools(['cupsd', 'lpadmin', 'lp', 'ippeveprinter', 'dbus-daemon', 'pdftotext'])) {
  test('lp prints to a CUPS queue of the node, which was made without a driver', async () => {
    const pdf = makePdf(200_000);
    const before = keptFiles(org);
    const cups = await startCups();
    try {
      await cups.addEverywhere('inkmesh', ada.print_uri);
      await cups.client('lp', '-d', 'inkmesh', '-t', 'By CUPS', pdf.file);
      const submitted = async () => (await jobsAt(org, 'a1')).find(({ state }) => state === 'held');
      await waitFor(submitted, { deadline_ms: 60_000, what: 'CUPS to submit' });
      const job = await heldEverywhere(org);
      assert.is(job.title, 'By CUPS');
      assert.is((await release(org, job, printer)).outcome, 'printed');
      const [file = ''] = keptFiles(org).filter((kept) => !before.includes(kept));
      // CUPS rewrites a document on its way: it is compared with what the node got
      assert.is(statSync(file).size, job.bytes);
      assert.is(firstOctets(file, 5), '%PDF-');
      assert.match(await textOf(file), pdf.marker);
    } catch (cause) {
      throw new Error(cups.log(), { cause });
    } finally {
      await cups.stop();
    }
  });
}

function firstOctets(file: string, count: number): string {
  const octets = Buffer.alloc(count);
  const opened = openSync(file, 'r');
  readSync(opened, octets);
  closeSync(opened);
  return octets.toString('latin1');
}

async function textOf(file: string): Promise<string> {
  const text = join(tempDir(), 'text');
  const kept = spawnKept('pdftotext', [file, text]);
  assert.is((await kept.ended).code, 0, kept.stderr());
  return readFileSync(text, 'utf8');
}

test.run();
