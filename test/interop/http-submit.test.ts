/** The HTTP front over real sockets: the examples of docs/SUBMIT.md by curl, back-pressure, and what is refused. */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type ClientRequest, request } from 'node:http';
import { request as secureRequest } from 'node:https';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { selfSigned } from '../fakes/certificate.ts';
import { sendHeldBack } from '../fakes/held-back.ts';
import { MemoryDoor, type Served, serveDoor, token } from '../fakes/ipp-door.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';

const run = promisify(execFile);
const page = readFileSync(new URL('../../docs/SUBMIT.md', import.meta.url), 'utf8');
const bearer = { authorization: `Bearer ${token}` };
const sha256 = (octets: Uint8Array) => createHash('sha256').update(octets).digest('hex');

interface Answer {
  status: number;
  json: { id?: string; error?: { code: string; message: string } };
  headers: Headers;
}

async function asked(served: Served, path: string, init: RequestInit): Promise<Answer> {
  const answer = await fetch(`http://127.0.0.1:${served.port}${path}`, init);
  return { status: answer.status, json: await answer.json() as Answer['json'], headers: answer.headers };
}

async function serving(
  work: (door: MemoryDoor, served: Served) => Promise<void>,
  tls = false,
): Promise<void> {
  const door = new MemoryDoor();
  const served = await serveDoor(door, tls ? selfSigned() : undefined);
  try {
    await work(door, served);
  } finally {
    await served.close();
  }
}

if (requireTools(['curl', 'openssl'])) {
  test('the examples of the page work as they stand', async () => {
    const dir = tempDir();
    const keys = selfSigned();
    writeFileSync(join(dir, 'organisation.pem'), keys.cert);
    const document = randomBytes(300_000);
    writeFileSync(join(dir, 'report.pdf'), document);
    const door = new MemoryDoor();
    const served = await serveDoor(door, keys);
    const env = {
      ...{ PATH: process.env['PATH'], TOKEN: token, CURL_CA_BUNDLE: 'organisation.pem' },
      INKMESH: `https://localhost:${served.port}`,
    };
    const examples = [...page.matchAll(/^```sh\n(.*?)^```/gms)].map(([, example = '']) => example);
    assert.is(examples.length, 5);
    try {
      for (const example of examples) {
        const JOB = door.submitted[0]?.job ?? '';
        const { stdout } = await run('sh', ['-ec', example], { cwd: dir, env: { ...env, JOB } });
        assert.ok(JSON.parse(stdout), example);
      }
    } finally {
      await served.close();
    }
    assert.equal(door.submitted.map((job) => job.sha256), Array(3).fill(sha256(document)));
    assert.equal(door.submitted.map(({ ticket }) => ticket.title), ['Report', 'Report', 'Piped']);
    assert.equal(door.submitted[0]?.ticket.options, { copies: 2, sides: 'two-sided-long-edge' });
    assert.equal(door.submitted[1]?.ticket.options, { copies: 2 });
    assert.equal(door.submitted.map(({ state }) => state), ['cancelled', 'held', 'held']);
  });
}

test('a form is taken octet for octet, in whatever pieces it comes', () =>
  serving(async (door, served) => {
    for (const size of [1, 7, 4096, 65536, 1_000_000]) {
      const document = Buffer.concat([randomBytes(size), Buffer.from('\r\n--edg'), randomBytes(9)]);
      const whole = formOf({ title: 'Größe', media: 'iso_a4_210x297mm' }, document);
      const client = post(served, '/print', { 'content-type': 'multipart/form-data; boundary=edge' });
      const answered = once(client, 'response');
      const step = Math.max(1, Math.floor(whole.length / 300));
      for (let at = 0; at < whole.length; at += step) {
        if (!client.write(whole.subarray(at, at + step))) await once(client, 'drain');
      }
      client.end();
      const [response] = await answered;
      assert.is(response.statusCode, 201);
      response.resume();
      assert.is(door.submitted.at(-1)?.sha256, sha256(document), `${size} octets`);
    }
    assert.equal(door.submitted.at(-1)?.ticket, {
      ...{ title: 'Größe', format: 'application/pdf', options: { media: 'iso_a4_210x297mm' } },
    });
  }));

function formOf(fields: Record<string, string>, document: Uint8Array, after = ''): Buffer {
  const parts = Object.entries(fields).map(([name, value]) =>
    `--edge\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  );
  const file = '--edge\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n' +
    'Content-Type: application/pdf\r\n\r\n';
  return Buffer.concat([
    Buffer.from(parts.join('') + file),
    document,
    Buffer.from(`\r\n${after}--edge--\r\n`),
  ]);
}

function post(served: Served, path: string, headers: Record<string, string>): ClientRequest {
  const options = { method: 'POST', headers: { ...bearer, ...headers, 'transfer-encoding': 'chunked' } };
  const url = `${served.uri.startsWith('ipps') ? 'https' : 'http'}://localhost:${served.port}${path}`;
  return url.startsWith('https')
    ? secureRequest(url, { ...options, rejectUnauthorized: false })
    : request(url, options);
}

for (
  const [kind, tls] of [['a body', false], ['a form', false], ['a body', true], ['a form', true]] as const
) {
  test(`a client sends ${kind} no faster than the door stores${tls ? ' over TLS' : ''}`, () =>
    serving(async (door, served) => {
      if (tls && !requireTools(['openssl'])) return;
      const isForm = kind === 'a form';
      const type = isForm ? 'multipart/form-data; boundary=edge' : 'application/pdf';
      const client = post(served, '/print', { 'content-type': type });
      const [head = '', end = ''] = isForm ? formOf({}, Buffer.from('|')).toString().split('|') : [];
      assert.is(await sendHeldBack(door, client, head, end), 201);
    }, tls));
}

test('what breaks off leaves no job: a body, and a form before its end', () =>
  serving(async (door, served) => {
    const whole = formOf({}, randomBytes(200_000));
    for (
      const [type, octets] of [
        ['application/pdf', randomBytes(200_000)],
        ['multipart/form-data; boundary=edge', whole.subarray(0, 150_000)],
        ['multipart/form-data; boundary=edge', whole.subarray(0, whole.length - 9)],
      ] as const
    ) {
      const { read, failed } = door;
      const client = post(served, '/print', { 'content-type': type });
      client.on('error', () => {});
      client.write(octets);
      await waitFor(() => door.read > read || undefined, { deadline_ms: 30_000, what: 'the first octets' });
      client.destroy();
      await waitFor(() => door.failed > failed || undefined, { deadline_ms: 30_000, what: 'the break' });
    }
    assert.equal(door.submitted, []);
    assert.equal(served.logged, []);
  }));

const pdf = { ...bearer, 'content-type': 'application/pdf' };
const form = { ...bearer, 'content-type': 'multipart/form-data; boundary=edge' };
const of = (document: string | Uint8Array, headers = pdf): RequestInit => ({
  ...{ method: 'POST', headers, body: document as BodyInit },
});
const twice = formOf(
  {},
  Buffer.from('%PDF'),
  '--edge\r\nContent-Disposition: form-data; name="b"; ' +
    'filename="b.pdf"\r\n\r\nx\r\n',
);
const late = formOf(
  {},
  Buffer.from('%PDF'),
  '--edge\r\nContent-Disposition: form-data; name="copies"\r\n\r\n2\r\n',
);
const wrong: [string, RequestInit, number, RegExp][] = [
  ['/print?copies=0', of('x'), 400, /copies/],
  ['/print?copies=2&copies=3', of('x'), 400, /twice/],
  ['/print?paper=a4', of('x'), 400, /paper/],
  ['/print?media=a4', of('x'), 400, /iso_a4_210x297mm/],
  [`/print?title=${'x'.repeat(256)}`, of('x'), 400, /title/],
  ['/print', of(''), 400, /empty|missing/],
  [
    '/print',
    of('x', { ...bearer, 'content-type': 'application/x-www-form-urlencoded' }),
    415,
    /application\/pdf/,
  ],
  ['/print', of(twice, form), 400, /one file/],
  ['/print', of(late, form), 400, /after the file/],
  ['/print', of('--edge--\r\n', form), 400, /missing|well-formed/],
  ['/print', of('nothing of the kind', form), 400, /well-formed|missing/],
  ['/print', of(formOf({}, Buffer.from('')), form), 400, /empty/],
  ['/print', of(formOf({ title: 'x'.repeat(3000) }, Buffer.from('x')), form), 400, /too long/],
  [
    '/print',
    of('x', { ...bearer, 'content-type': 'multipart/form-data; edge=boundary' }),
    400,
    /boundary/,
  ],
  ['/print', of('x', { ...pdf, origin: 'https://elsewhere.example' } as typeof pdf), 403, /other sites/],
  [
    '/jobs/5d8f6a0e-8a51-8c3e-9a41-0a4f2d9f7b11',
    { method: 'DELETE', headers: bearer },
    404,
    /no such job/,
  ],
];

test('what is wrong with a request is said, with the right status, and stores nothing', () =>
  serving(async (door, served) => {
    for (const [path, init, status, says] of wrong) {
      const answer = await asked(served, path, init);
      const told = JSON.stringify(answer.json);
      assert.is(answer.status, status, `${path}: ${told}`);
      assert.match(answer.json.error?.message ?? '', says);
    }
    door.maxDocumentBytes = 1000;
    for (
      const [body, headers] of [[randomBytes(1001), pdf], [formOf({}, randomBytes(1001)), form]] as const
    ) {
      assert.is((await asked(served, '/print', of(body, headers))).status, 413);
    }
    assert.equal(door.submitted, []);
    assert.equal(served.logged, []);
  }));

test('who shows no token, a wrong one, or another user’s is asked for one', () =>
  serving(async (door, served) => {
    const basic = (user: string, password: string) => `Basic ${btoa(`${user}:${password}`)}`;
    const wrong = [
      '',
      'Bearer wrong',
      basic('ada', 'wrong'),
      basic('bob', token),
      'Negotiate abc',
      `Basic ${token}`,
    ];
    for (const authorization of wrong) {
      for (const [method, path] of [['POST', '/print'], ['GET', '/jobs'], ['DELETE', '/jobs/x']] as const) {
        const body = method === 'POST' ? { body: 'document' } : {};
        const headers = {
          'content-type': 'application/pdf',
          ...(authorization === '' ? {} : { authorization }),
        };
        const answer = await asked(served, path, { method, headers, ...body });
        assert.is(answer.status, 401, `${method} ${authorization}`);
        assert.match(answer.headers.get('www-authenticate') ?? '', /^Basic realm="inkmesh"/);
      }
    }
    assert.is(door.read, 0);
    const good = await asked(served, '/print', {
      ...{ method: 'POST', body: 'document' },
      headers: { authorization: basic('ada', token), 'content-type': 'application/pdf' },
    });
    assert.is(good.status, 201);
    assert.is(good.headers.get('location'), `/jobs/${good.json.id}`);
  }));

test.run();
