import { deflateRawSync, gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import { parseMessage } from '../../src/ipp/codec.ts';
import * as ipp from '../../src/ipp/message.ts';
import { type Attribute, attributesOf, firstNumber, stringsOf } from '../../src/ipp/message.ts';
import { groups, statusName } from '../../src/ipp/registry.ts';
import { jobNumber, jobStates } from '../../src/job.ts';
import { submitLimits } from '../../src/limits.ts';
import { type Asked, client, head, jobOf, pdf, printer, target, unsupportedOf } from '../fakes/ipp-client.ts';
import { token } from '../fakes/ipp-door.ts';

test('requests that RFC 8011 section 4.1 forbids are refused with its statuses', async () => {
  const { ask, door } = client();
  const [first, second] = head as [Attribute, Attribute];
  const cases: [Asked, string][] = [
    [{ version: 0x0000 }, 'server-error-version-not-supported'],
    [{ version: 0x0300 }, 'server-error-version-not-supported'],
    [{ requestId: 0 }, 'client-error-bad-request'],
    [{ requestId: -1 }, 'client-error-bad-request'],
    [{ operation: [] }, 'client-error-bad-request'],
    [{ operation: [second, first, target] }, 'client-error-bad-request'],
    [{ operation: [first, target] }, 'client-error-bad-request'],
    [
      { operation: [ipp.charset('attributes-charset', 'utf-16'), second, target] },
      'client-error-charset-not-supported',
    ],
    [{ operation: [...head] }, 'client-error-bad-request'],
    [{ operation: [...head, target, target] }, 'client-error-bad-request'],
    [{ operation: [...head, ipp.keyword('printer-uri', printer)] }, 'client-error-bad-request'],
    [{ operation: [...head, ipp.uri('printer-uri', 'ipp://h/ipp/print/another')] }, 'client-error-not-found'],
  ];
  for (const [asked, status] of cases) {
    assert.is((await ask('Print-Job', { ...asked, document: pdf })).status, status, JSON.stringify(asked));
  }
  const unknown = await ask('Get-Jobs', { operation: [...head, target, ipp.keyword('which-jobs', 'every')] });
  assert.is(unknown.status, 'client-error-attributes-or-values-not-supported');
  assert.is(door.read, 0);
});

test('what is no IPP is refused, and the answer keeps the request-id and the version', async () => {
  const { post, ask } = client();
  assert.is((await post(pdf, undefined, { 'content-type': 'text/plain' })).status, 415);
  const garbage = await post(new TextEncoder().encode('this is not IPP at all, is it?'));
  const answer = parseMessage(new Uint8Array(await garbage.arrayBuffer()));
  assert.is(statusName(answer.code), 'client-error-bad-request');
  const good = await ask('Get-Jobs', { requestId: 77, version: 0x0101 });
  assert.is(good.status, 'successful-ok');
  assert.is(good.requestId, 77);
  assert.is(good.version, 0x0101);
});

test('wrong tokens are all the same', async () => {
  const { ask } = client();
  for (const wrong of ['tok-wrong', 'x'.repeat(5000), '%00', '..%2f']) {
    const path = `/ipp/print/${wrong}`;
    const answer = await ask('Print-Job', { path, document: pdf, requestId: 9 });
    assert.is(answer.status, 'client-error-not-found', wrong);
    assert.is(answer.requestId, 9);
    assert.not(JSON.stringify(answer).includes(wrong));
  }
});

test('Print-Job takes the ticket, and says what it cannot take', async () => {
  const { ask, door } = client();
  const operation = [
    ...head,
    target,
    ipp.nameAttribute('job-name', 'Quarterly\nfigures'),
    ipp.mimeMediaType('document-format', 'application/PDF'),
  ];
  const size = ipp.collection('media-size', [
    ipp.integer('x-dimension', 21000),
    ipp.integer('y-dimension', 29700),
  ]);
  const job = [
    ipp.integer('copies', 3),
    ipp.keyword('sides', 'two-sided-short-edge'),
    ipp.keyword('print-color-mode', 'sepia'),
    ipp.collection('media-col', [size]),
    ipp.keyword('coffee', 'black'),
    ipp.enumeration('print-quality', 4),
  ];
  const answer = await ask('Print-Job', { operation, job, document: pdf });
  assert.is(answer.status, 'successful-ok-ignored-or-substituted-attributes');
  assert.equal(unsupportedOf(answer), [
    ipp.keyword('print-color-mode', 'sepia'),
    ipp.attribute('coffee', { syntax: 'unsupported' }),
  ]);
  const [kept] = door.submitted;
  assert.equal(kept?.ticket, {
    title: 'Quarterly figures',
    format: 'application/pdf',
    options: { copies: 3, sides: 'two-sided-short-edge', media: 'iso_a4_210x297mm' },
  });
  assert.is(firstNumber(jobOf(answer), 'job-id'), jobNumber(kept?.job ?? ''));
  assert.is(firstNumber(jobOf(answer), 'job-state'), 4);
  assert.equal(stringsOf(jobOf(answer), 'job-state-reasons'), ['job-held-until-specified']);

  const strict = await ask('Print-Job', {
    operation: [...operation, ipp.boolean('ipp-attribute-fidelity', true)],
    job,
    document: pdf,
  });
  assert.is(strict.status, 'client-error-attributes-or-values-not-supported');
  assert.is(unsupportedOf(strict).length, 2);
  assert.is(door.submitted.length, 1);
});

test('formats, compressions and empty documents that do not fit are refused', async () => {
  const { ask, door } = client();
  const cases: [Attribute[], Uint8Array, string][] = [
    [[ipp.mimeMediaType('document-format', 'text/html')], pdf, 'client-error-document-format-not-supported'],
    [[ipp.keyword('compression', 'zip')], pdf, 'client-error-compression-not-supported'],
    [[ipp.keyword('compression', 'gzip')], pdf, 'client-error-compression-error'],
    [[], new Uint8Array(), 'client-error-bad-request'],
  ];
  for (const [attributes, document, status] of cases) {
    const answer = await ask('Print-Job', { operation: [...head, target, ...attributes], document });
    assert.is(answer.status, status);
  }
  assert.equal(door.submitted, []);
});

test('compressed documents that end early are refused, wherever they end', async () => {
  const { ask, door } = client();
  const plain = Uint8Array.from({ length: 100_000 }, (_, at) => (at * at) >> 7);
  for (const [name, whole] of [['gzip', gzipSync(plain)], ['deflate', deflateRawSync(plain)]] as const) {
    const operation = [...head, target, ipp.keyword('compression', name)];
    for (const missing of [1, 4, 8, 9, whole.length >> 1, whole.length]) {
      const document = whole.subarray(0, whole.length - missing);
      const { status } = await ask('Print-Job', { operation, document });
      assert.is(status, 'client-error-compression-error', `${name} without its last ${missing} octets`);
    }
    assert.is((await ask('Print-Job', { operation, document: whole })).status, 'successful-ok');
  }
  assert.equal(door.submitted.map((job) => job.bytes), [plain.length, plain.length]);
});

test('a gzip bomb stops at the size of a document', async () => {
  const { ask, door } = client();
  door.maxDocumentBytes = 1024 * 1024;
  const zeros = new Blob([new Uint8Array(64 * 1024 * 1024)]).stream().pipeThrough(
    new CompressionStream('gzip'),
  );
  const document = new Uint8Array(await new Response(zeros).arrayBuffer());
  const operation = [...head, target, ipp.keyword('compression', 'gzip')];
  const answer = await ask('Print-Job', { operation, document });
  assert.is(answer.status, 'client-error-request-entity-too-large');
  assert.ok(door.read <= door.maxDocumentBytes);
});

test('Create-Job waits for a document, until the last one', async () => {
  const { ask, door } = client();
  const created = await ask('Create-Job', { job: [ipp.integer('copies', 2)] });
  const id = firstNumber(jobOf(created), 'job-id') ?? 0;
  assert.equal(stringsOf(jobOf(created), 'job-state-reasons'), ['job-incoming']);
  const operation = [...head, target, ipp.integer('job-id', id)];
  const last = (value: boolean) => [...operation, ipp.boolean('last-document', value)];
  assert.is((await ask('Send-Document', { operation, document: pdf })).status, 'client-error-bad-request');
  assert.is((await ask('Get-Job-Attributes', { operation })).status, 'successful-ok');
  const jobs = await ask('Get-Jobs');
  assert.is(firstNumber(jobOf(jobs), 'job-id'), id);
  assert.is((await ask('Send-Document', { operation: last(true), document: pdf })).status, 'successful-ok');
  assert.is(jobNumber(door.submitted[0]?.job ?? ''), id);
  assert.equal(door.submitted[0]?.ticket.options, { copies: 2 });
  assert.is(
    (await ask('Send-Document', { operation: last(true), document: pdf })).status,
    'client-error-not-possible',
  );
});

test('jobs without a document are bounded, and cancelling makes room', async () => {
  const { ask } = client();
  const ids: number[] = [];
  for (let made = 0; made < submitLimits.maxOpenJobsPerToken; made++) {
    ids.push(firstNumber(jobOf(await ask('Create-Job')), 'job-id') ?? 0);
  }
  assert.is(new Set(ids).size, ids.length);
  assert.is((await ask('Create-Job')).status, 'server-error-busy');
  const cancelled = await ask('Cancel-Job', {
    operation: [...head, ipp.uri('job-uri', `${printer}/${ids[0]}`)],
  });
  assert.is(cancelled.status, 'successful-ok');
  assert.is((await ask('Create-Job')).status, 'successful-ok');
});

test('a job that is cancelled while it comes in is not stored', async () => {
  const { ask, door } = client();
  door.pace = () => new Promise((resolve) => setTimeout(resolve, 5));
  door.submit = async (_token, _job, _ticket, document, signal) => {
    for await (const _chunk of document) {
      const id = firstNumber(jobOf(await ask('Get-Jobs')), 'job-id') ?? 0;
      await ask('Cancel-Job', { operation: [...head, target, ipp.integer('job-id', id)] });
      signal.throwIfAborted();
    }
  };
  assert.is((await ask('Print-Job', { document: pdf })).status, 'server-error-job-canceled');
  assert.equal(jobOf(await ask('Get-Jobs')), []);
});

test('a job that is cancelled when its document is in already is cancelled all the same', async () => {
  const { ask, door } = client();
  const store = door.submit.bind(door);
  let id = 0;
  door.submit = async (...submitted) => {
    await store(...submitted);
    id = firstNumber(jobOf(await ask('Get-Jobs')), 'job-id') ?? 0;
    const operation = [...head, target, ipp.integer('job-id', id)];
    assert.is((await ask('Cancel-Job', { operation })).status, 'successful-ok');
  };
  assert.is((await ask('Print-Job', { document: pdf })).status, 'server-error-job-canceled');
  assert.equal(door.submitted.map((job) => [jobNumber(job.job), job.state]), [[id, 'cancelled']]);
  door.cancel = () => Promise.reject(new InkmeshError('unavailable', 'waiting for PC-12 to wake up'));
  assert.is((await ask('Print-Job', { document: pdf })).status, 'server-error-service-unavailable');
});

test('an interrupted job says what its owner can do, and is not cancelled by a token', async () => {
  const { ask, door } = client();
  door.stateAfter = 'interrupted';
  await ask('Print-Job', { document: pdf });
  const job = door.submitted[0]?.job ?? '';
  const claim = `12D3KooW${'A'.repeat(44)}/${crypto.randomUUID()}`;
  const list = door.jobs.bind(door);
  door.jobs = async () => (await list()).map((view) => ({ ...view, claims: [claim], reason: 'no paper' }));
  const next = `inkmesh cancel ${job} --confirm-reprint ${claim}`;
  const operation = [...head, target, ipp.integer('job-id', jobNumber(job))];
  const cancel = await ask('Cancel-Job', { operation });
  assert.is(cancel.status, 'client-error-not-possible');
  const [said] = stringsOf(attributesOf(cancel, groups['operation-attributes-tag']), 'status-message');
  assert.match(said ?? '', next);
  assert.match(said ?? '', 'inkmesh release');
  const [shown] = stringsOf(jobOf(await ask('Get-Job-Attributes', { operation })), 'job-state-message');
  assert.match(shown ?? '', next);
  assert.match(shown ?? '', 'no paper');
  assert.is(door.submitted[0]?.state, 'interrupted');
});

test('every state of a job has an IPP state, and only ended ones are listed as completed', async () => {
  const { ask, door } = client();
  for (const state of jobStates) {
    door.stateAfter = state;
    await ask('Print-Job', { document: pdf });
  }
  const counts: Record<string, number> = {};
  for (const which of ['completed', 'not-completed']) {
    const operation = [
      ...head,
      target,
      ipp.keyword('which-jobs', which),
      ipp.keyword('requested-attributes', 'all'),
    ];
    const answer = await ask('Get-Jobs', { operation });
    counts[which] = answer.groups.filter((group) => group.tag === groups['job-attributes-tag']).length;
    const limited = await ask('Get-Jobs', { operation: [...operation, ipp.integer('limit', 1)] });
    assert.is(limited.groups.length, 2);
  }
  assert.equal(counts, { completed: 4, 'not-completed': jobStates.length - 4 });
  const printed = door.submitted.find((job) => job.state === 'printed')?.job ?? '';
  const cancel = await ask('Cancel-Job', {
    operation: [...head, target, ipp.integer('job-id', jobNumber(printed))],
  });
  assert.is(cancel.status, 'client-error-not-possible');
});

test('requested-attributes chooses printer attributes by name and by group', async () => {
  const { ask } = client();
  const names = async (...requested: string[]) => {
    const wanted = requested.length === 0 ? [] : [ipp.keyword('requested-attributes', ...requested)];
    const answer = await ask('Get-Printer-Attributes', { operation: [...head, target, ...wanted] });
    return attributesOf(answer, groups['printer-attributes-tag']).map((attribute) => attribute.name);
  };
  assert.equal(await names('printer-name', 'sides-supported', 'nonsense'), [
    'printer-name',
    'sides-supported',
  ]);
  assert.equal(await names('media-col-database'), ['media-col-database']);
  assert.ok(!(await names()).includes('media-col-database'));
  assert.equal(await names(), await names('all'));
  assert.ok((await names('job-template')).every((name) => /-(default|supported|ready)$/.test(name)));
  const all = await names('all');
  assert.is(new Set(all).size, all.length);
});

test('a failing door is told in the words of IPP, and logged, without its secrets', async () => {
  const { ask, door, logged } = client();
  const answers = [
    [
      new InkmeshError('unavailable', 'waiting for PC-12 to wake up'),
      'server-error-service-unavailable',
      'PC-12',
    ],
    [new InkmeshError('forbidden', 'the policy of the site forbids it'), 'client-error-forbidden', 'policy'],
    [new InkmeshError('internal', `token ${token}`), 'server-error-internal-error', ''],
    [new Error('broken', { cause: new Error(`token ${token}`) }), 'server-error-internal-error', ''],
  ] as const;
  for (const [thrown, status, says] of answers) {
    door.submit = () => Promise.reject(thrown);
    const answer = await ask('Print-Job', { document: pdf });
    assert.is(answer.status, status);
    const said = stringsOf(attributesOf(answer, groups['operation-attributes-tag']), 'status-message')[0] ??
      '';
    assert.ok(said.includes(says));
    assert.not(said.includes(token));
  }
  assert.is(logged.length, 2);
  for (const entry of logged) {
    assert.is(entry['level'], 'error');
    assert.match(String(entry['error']), 'token [token]');
    assert.match(String(entry['error']), 'ipp-submit.test.ts');
    assert.not(JSON.stringify(entry).includes(token));
  }
});

test.run();
