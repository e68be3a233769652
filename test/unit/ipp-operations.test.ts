/** The operations beyond those that every dialog sends: several documents, control, events, and what people read. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import * as ipp from '../../src/ipp/message.ts';
import { type Attribute, attributesOf, firstNumber, stringsOf } from '../../src/ipp/message.ts';
import { groups, type OperationName, operations } from '../../src/ipp/registry.ts';
import { jobNumber } from '../../src/job.ts';
import { submitLimits } from '../../src/limits.ts';
import { type Answer, client, head, jobOf, pdf, target, unsupportedOf } from '../fakes/ipp-client.ts';
import { MemoryDoor } from '../fakes/ipp-door.ts';

type Client = ReturnType<typeof client>;
const withJob = (id: number, ...more: Attribute[]) => [...head, target, ipp.integer('job-id', id), ...more];
const last = (value: boolean) => ipp.boolean('last-document', value);
const idOf = (answer: Answer) => firstNumber(jobOf(answer), 'job-id') ?? 0;
const messageOf = (answer: Answer) =>
  stringsOf(attributesOf(answer, groups['operation-attributes-tag']), 'status-message')[0] ?? '';
const groupsOf = (answer: Answer, name: keyof typeof groups) =>
  answer.groups.filter(({ tag }) => tag === groups[name]).map(({ attributes }) => attributes);

async function print({ ask }: Client, ...more: Attribute[]): Promise<number> {
  return idOf(await ask('Print-Job', { operation: [...head, target, ...more], document: pdf }));
}

/** A job of two documents, still open. */
async function twoDocuments({ ask }: Client): Promise<number> {
  const id = idOf(
    await ask('Create-Job', { operation: [...head, target, ipp.nameAttribute('job-name', 'both')] }),
  );
  for (const document of [pdf, new Uint8Array(5000)]) {
    const sent = await ask('Send-Document', { operation: withJob(id, last(false)), document });
    assert.is(sent.status, 'successful-ok');
    assert.is(idOf(sent), id);
    assert.equal(stringsOf(jobOf(sent), 'job-state-reasons'), ['job-incoming']);
  }
  return id;
}

test('several documents are stored one by one, and are one job to the client that sent them', async () => {
  const one = client();
  const { ask, door } = one;
  const id = await twoDocuments(one);
  assert.equal(door.submitted.map((job) => job.ticket.title), ['both', 'both (document 2)']);
  assert.is(jobNumber(door.submitted[0]?.job ?? ''), id);
  const asked = { operation: withJob(id, ipp.keyword('requested-attributes', 'all')) };
  const open = jobOf(await ask('Get-Job-Attributes', asked));
  assert.is(firstNumber(open, 'number-of-documents'), 2);
  assert.is(firstNumber(open, 'job-k-octets'), 5);
  assert.equal(stringsOf(open, 'job-state-reasons'), ['job-incoming']);

  // last-document by itself
  const end = await ask('Send-Document', { operation: withJob(id, last(true)) });
  assert.is(end.status, 'successful-ok');
  assert.equal(stringsOf(jobOf(end), 'job-state-reasons'), ['job-held-until-specified']);
  assert.is(door.submitted.length, 2);
  const more = await ask('Send-Document', { operation: withJob(id, last(true)), document: pdf });
  assert.is(more.status, 'client-error-not-possible');
  const listed = groupsOf(await ask('Get-Jobs'), 'job-attributes-tag');
  assert.equal(listed.map((attributes) => firstNumber(attributes, 'job-id')), [id]);

  // one printed, one held: the job has not ended
  (door.submitted[0] as { state: string }).state = 'printed';
  const half = jobOf(await ask('Get-Job-Attributes', asked));
  assert.equal(stringsOf(half, 'job-state-reasons'), ['job-held-until-specified']);
  assert.is((await ask('Cancel-Job', { operation: withJob(id) })).status, 'successful-ok');
  assert.equal(door.submitted.map((job) => job.state), ['printed', 'cancelled']);
  assert.is((await ask('Cancel-Job', { operation: withJob(id) })).status, 'client-error-not-possible');
});

test('documents of a job are listed, shown and cancelled by their number', async () => {
  const one = client();
  const { ask, door } = one;
  const id = await twoDocuments(one);
  assert.is((await ask('Close-Job', { operation: withJob(id) })).status, 'successful-ok');
  const list = groupsOf(await ask('Get-Documents', { operation: withJob(id) }), 'document-attributes-tag');
  assert.equal(list.map((attributes) => firstNumber(attributes, 'document-number')), [1, 2]);
  const second = withJob(id, ipp.integer('document-number', 2));
  const [shown = []] = groupsOf(
    await ask('Get-Document-Attributes', { operation: second }),
    'document-attributes-tag',
  );
  assert.equal(stringsOf(shown, 'document-uuid'), [`urn:uuid:${door.submitted[1]?.job}`]);
  assert.is(firstNumber(shown, 'document-state'), 3);
  assert.is(firstNumber(shown, 'k-octets'), 5);
  assert.is((await ask('Cancel-Document', { operation: second })).status, 'successful-ok');
  assert.equal(door.submitted.map((job) => job.state), ['held', 'cancelled']);
  assert.is((await ask('Cancel-Document', { operation: second })).status, 'client-error-not-possible');
  const third = withJob(id, ipp.integer('document-number', 3));
  assert.is((await ask('Get-Document-Attributes', { operation: third })).status, 'client-error-not-found');
  const set = {
    tag: groups['document-attributes-tag'],
    attributes: [ipp.nameAttribute('document-name', 'x')],
  };
  const refused = await ask('Set-Document-Attributes', { operation: second, further: [set] });
  assert.is(refused.status, 'client-error-attributes-not-settable');
});

test('a second document that fails leaves the first one, and the job open', async () => {
  const one = client();
  const { ask, door } = one;
  const id = idOf(await ask('Create-Job'));
  await ask('Send-Document', { operation: withJob(id, last(false)), document: pdf });
  const empty = await ask('Send-Document', { operation: withJob(id, last(false)) });
  assert.is(empty.status, 'client-error-bad-request');
  const again = await ask('Send-Document', { operation: withJob(id, last(true)), document: pdf });
  assert.is(again.status, 'successful-ok');
  assert.is(door.submitted.length, 2);
});

test('a job has a bounded number of documents', async () => {
  const { ask } = client();
  const id = idOf(await ask('Create-Job'));
  for (let sent = 0; sent < submitLimits.maxDocumentsPerJob; sent++) {
    await ask('Send-Document', { operation: withJob(id, last(false)), document: pdf });
  }
  const more = await ask('Send-Document', { operation: withJob(id, last(false)), document: pdf });
  assert.is(more.status, 'server-error-too-many-documents');
  assert.is((await ask('Send-Document', { operation: withJob(id, last(true)) })).status, 'successful-ok');
});

test('a job that is cancelled between its documents loses those that it has', async () => {
  const one = client();
  const id = await twoDocuments(one);
  assert.is((await one.ask('Cancel-Job', { operation: withJob(id) })).status, 'successful-ok');
  assert.equal(one.door.submitted.map((job) => job.state), ['cancelled', 'cancelled']);
});

test('Close-Job ends a job without a document', async () => {
  const { ask } = client();
  const id = idOf(await ask('Create-Job'));
  const closed = await ask('Close-Job', { operation: withJob(id) });
  assert.is(closed.status, 'successful-ok');
  assert.is(firstNumber(jobOf(closed), 'job-state'), 7);
  assert.is((await ask('Get-Job-Attributes', { operation: withJob(id) })).status, 'client-error-not-found');
});

test('Release-Job prints nothing, and no operation of an operator does anything', async () => {
  const one = client();
  const { ask, door } = one;
  const id = await print(one);
  const release = await ask('Release-Job', { operation: withJob(id) });
  assert.is(release.status, 'client-error-not-possible');
  assert.match(messageOf(release), 'inkmesh release');
  assert.is((await ask('Hold-Job', { operation: withJob(id) })).status, 'successful-ok');
  const until = withJob(id, ipp.keyword('job-hold-until', 'evening'));
  assert.is(
    (await ask('Hold-Job', { operation: until })).status,
    'client-error-attributes-or-values-not-supported',
  );
  for (const name of ['Restart-Job', 'Reprocess-Job', 'Resubmit-Job'] as const) {
    assert.is((await ask(name, { operation: withJob(id) })).status, 'client-error-not-possible', name);
  }
  const operators: OperationName[] = [
    ...(['Pause-Printer', 'Resume-Printer', 'Purge-Jobs', 'Set-Printer-Attributes', 'Cancel-Jobs'] as const),
    ...([
      'Enable-Printer',
      'Disable-Printer',
      'Hold-New-Jobs',
      'Release-Held-New-Jobs',
      'Promote-Job',
    ] as const),
    ...(['Restart-Printer', 'Shutdown-Printer', 'Startup-Printer', 'Resume-Job'] as const),
    ...(['Pause-Printer-After-Current-Job', 'Suspend-Current-Job', 'Schedule-Job-After'] as const),
  ];
  for (const name of operators) {
    assert.is((await ask(name, { operation: withJob(id) })).status, 'client-error-not-authorized', name);
  }
  assert.equal(door.submitted.map((job) => job.state), ['held']);
  const printed = await ask('Get-Printer-Attributes');
  const [state] = attributesOf(printed, groups['printer-attributes-tag']).filter(({ name }) =>
    name === 'printer-state'
  );
  assert.equal(state, ipp.enumeration('printer-state', 3));
});

test('every operation that is said to be supported is', async () => {
  const { ask } = client();
  for (const name of Object.keys(operations) as OperationName[]) {
    const { status } = await ask(name);
    assert.is.not(status, 'server-error-operation-not-supported', name);
    assert.is.not(status, 'server-error-internal-error', name);
  }
});

test('nothing of a stored job can be set', async () => {
  const one = client();
  const operation = withJob(await print(one));
  const answer = await one.ask('Set-Job-Attributes', { operation, job: [ipp.integer('copies', 2)] });
  assert.is(answer.status, 'client-error-attributes-not-settable');
  assert.equal(unsupportedOf(answer), [
    { name: 'copies', values: [{ syntax: 'other', tag: 0x15, value: new Uint8Array() }] },
  ]);
  assert.is((await one.ask('Set-Job-Attributes', { operation })).status, 'client-error-bad-request');
});

test('Cancel-My-Jobs cancels those that are named, or all', async () => {
  const one = client();
  const { ask, door } = one;
  const ids = [await print(one), await print(one), await print(one)];
  const states = () => door.submitted.map((job) => job.state);
  const unknown = [...head, target, ipp.integer('job-ids', ids[0] ?? 0, (ids[0] ?? 0) ^ 1)];
  assert.is((await ask('Cancel-My-Jobs', { operation: unknown })).status, 'client-error-not-found');
  assert.equal(states(), ['held', 'held', 'held']);
  const named = [...head, target, ipp.integer('job-ids', ids[1] ?? 0)];
  assert.is((await ask('Cancel-My-Jobs', { operation: named })).status, 'successful-ok');
  assert.equal(states(), ['held', 'cancelled', 'held']);
  assert.is((await ask('Cancel-My-Jobs', { operation: named })).status, 'client-error-not-possible');
  await ask('Create-Job');
  assert.is((await ask('Cancel-My-Jobs')).status, 'successful-ok');
  assert.equal(states(), ['cancelled', 'cancelled', 'cancelled']);
  assert.equal(jobOf(await ask('Get-Jobs')), []);
});

test('my-jobs keeps those apart who share a token', async () => {
  const one = client();
  const named = (name: string) => ipp.nameAttribute('requesting-user-name', name);
  const ids = [await print(one, named('ada')), await print(one, named('bob')), await print(one)];
  const mine = async (name: string, my = true) => {
    const operation = [...head, target, named(name), ipp.boolean('my-jobs', my)];
    const listed = groupsOf(await one.ask('Get-Jobs', { operation }), 'job-attributes-tag');
    return listed.map((attributes) => firstNumber(attributes, 'job-id'));
  };
  assert.equal(await mine('ada'), [ids[0], ids[2]]);
  assert.equal(await mine('bob'), [ids[1], ids[2]]);
  assert.equal(await mine('bob', false), ids);
});

test('Cancel-Current-Job is about the one that is being printed', async () => {
  const one = client();
  const { ask, door } = one;
  await print(one);
  assert.is((await ask('Cancel-Current-Job')).status, 'client-error-not-possible');
  door.stateAfter = 'delivering';
  await print(one);
  assert.is((await ask('Cancel-Current-Job')).status, 'successful-ok');
  assert.equal(door.submitted.map((job) => job.state), ['held', 'cancelled']);
});

test('Identify-Printer tells it in the log', async () => {
  const { ask, logged } = client();
  const operation = [...head, target, ipp.text('message', `where are you? ${'x'.repeat(1000)}`)];
  assert.is((await ask('Identify-Printer', { operation })).status, 'successful-ok');
  assert.is(logged.length, 1);
  assert.is(logged[0]?.['user'], 'ada');
  assert.match(String(logged[0]?.['message']), 'where are you?');
  assert.ok(String(logged[0]?.['message']).length <= submitLimits.maxMessageBytes);
  const loud = [...head, target, ipp.keyword('identify-actions', 'display', 'sound')];
  const answer = await ask('Identify-Printer', { operation: loud });
  assert.is(answer.status, 'successful-ok-ignored-or-substituted-attributes');
  assert.equal(unsupportedOf(answer), [ipp.keyword('identify-actions', 'sound')]);
});

test('page ranges, pages per sheet, banner and quality travel with the job; what changes nothing does not', async () => {
  const one = client();
  const range = (lower: number, upper: number) => ({ syntax: 'rangeOfInteger', lower, upper }) as const;
  const job = [
    ipp.attribute('page-ranges', range(1, 2), range(5, 5)),
    ipp.integer('number-up', 2),
    ipp.keyword('job-sheets', 'standard'),
    ipp.enumeration('print-quality', 5),
    ipp.keyword('job-hold-until', 'no-hold'),
    ipp.integer('job-priority', 80),
  ];
  assert.is((await one.ask('Print-Job', { job, document: pdf })).status, 'successful-ok');
  assert.equal(one.door.submitted[0]?.ticket.options, {
    'page-ranges': [[1, 2], [5, 5]],
    'number-up': 2,
    'job-sheets': 'standard',
    'print-quality': 5,
  });
  const plain = [
    ipp.integer('number-up', 1),
    ipp.keyword('job-sheets', 'none'),
    ipp.enumeration('print-quality', 4),
  ];
  assert.is((await one.ask('Print-Job', { job: plain, document: pdf })).status, 'successful-ok');
  assert.equal(one.door.submitted[1]?.ticket.options, {});
  for (
    const wrong of [
      ipp.attribute('page-ranges', range(3, 4), range(4, 6)),
      ipp.attribute('page-ranges', range(4, 3)),
      ipp.integer('number-up', 3),
      ipp.keyword('job-hold-until', 'evening'),
      ipp.integer('job-priority', 101),
    ]
  ) {
    const answer = await one.ask('Validate-Job', { job: [wrong] });
    assert.is(answer.status, 'successful-ok-ignored-or-substituted-attributes');
    assert.equal(unsupportedOf(answer), [wrong]);
  }
});

test('a document that is said to be too large is refused before an octet of it is read', async () => {
  const door = new MemoryDoor();
  door.maxDocumentBytes = 1024 * 1024;
  const { ask } = client(door);
  const job_k_octets = (kilobytes: number) => [...head, target, ipp.integer('job-k-octets', kilobytes)];
  const large = 'client-error-request-entity-too-large';
  for (const name of ['Validate-Job', 'Create-Job', 'Print-Job'] as const) {
    assert.is((await ask(name, { operation: job_k_octets(1025), document: pdf })).status, large, name);
  }
  assert.is((await ask('Validate-Job', { operation: job_k_octets(1024) })).status, 'successful-ok');
  const headers = { 'content-length': String(door.maxDocumentBytes + submitLimits.maxRequestBytes + 1) };
  assert.is((await ask('Print-Job', { headers, document: pdf })).status, large);
  assert.is(door.read, 0);
});

test('what keeps any job from being taken is told before a document is sent', async () => {
  const { ask, door } = client();
  door.ready = () => Promise.reject(new InkmeshError('unavailable', 'wake another workstation'));
  for (const name of ['Validate-Job', 'Create-Job'] as const) {
    const answer = await ask(name);
    assert.is(answer.status, 'server-error-service-unavailable', name);
    assert.match(messageOf(answer), 'wake another workstation');
  }
  assert.equal(jobOf(await ask('Get-Jobs')), []);
});

test('a job whose document is refused says why to whom knows its number', async () => {
  const { ask, door } = client();
  const id = idOf(await ask('Create-Job'));
  door.submit = () => Promise.reject(new InkmeshError('unavailable', 'PC-12 has no room for documents'));
  const sent = await ask('Send-Document', { operation: withJob(id, last(true)), document: pdf });
  assert.is(sent.status, 'server-error-service-unavailable');
  const job = jobOf(await ask('Get-Job-Attributes', { operation: withJob(id) }));
  assert.is(firstNumber(job, 'job-state'), 8);
  assert.equal(stringsOf(job, 'job-state-message'), ['PC-12 has no room for documents']);
});

test.run();
