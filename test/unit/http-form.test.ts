/** Forms, well-formed and not, in pieces of any size: `INKMESH_SEED=N` runs the same ones again. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import { httpLimits } from '../../src/limits.ts';
import { readForm } from '../../src/submit/http-form.ts';
import { collect } from '../fakes/mesh.ts';
import { Random } from '../sim/random.ts';

const seed = process.env['INKMESH_SEED'] ?? String(Math.floor(Math.random() * 2 ** 31));
const type = 'multipart/form-data; boundary=edge';
const fileHead = '--edge\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n';

async function* piecesOf(octets: Uint8Array, random: Random): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < octets.length;) {
    const end = at + 1 + random.below(200);
    yield octets.subarray(at, end);
    at = end;
  }
}

interface Read {
  file: Buffer;
  fields: Record<string, string>;
}

/** @returns what was read, or why it was refused; fails when that takes for ever */
async function read(octets: Uint8Array, random: Random): Promise<Read | InkmeshError> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`INKMESH_SEED=${seed}: ${JSON.stringify(String(octets))}`)),
      10_000,
    );
  });
  const whole = async () => {
    const form = await readForm(piecesOf(octets, random), type);
    try {
      return { file: await collect(form.file), fields: Object.fromEntries(form.fields) };
    } finally {
      form.close();
    }
  };
  try {
    return await Promise.race([whole(), late]);
  } catch (thrown) {
    if (thrown instanceof InkmeshError) return thrown;
    throw thrown;
  } finally {
    clearTimeout(timer);
  }
}

test(`what is in the file comes out, whatever it is like (INKMESH_SEED=${seed})`, async () => {
  const random = new Random(`forms ${seed}`);
  const near = ['\r\n--edg', '--edge', '\r\n-', '\r\n\r\n', '\r', '\0', '--', 'Content-Type: x'];
  for (let run = 0; run < 150; run++) {
    const some = () => random.chance(0.5) ? Buffer.from(random.pick(near)) : random.bytes(random.below(300));
    const document = Buffer.concat(Array.from({ length: 1 + random.below(20) }, some));
    const field = '--edge\r\nContent-Disposition: form-data; name="title"\r\n\r\nGröße\r\n';
    const rest = 'Content-Type: application/pdf\r\n\r\n';
    const end = '\r\n--edge--\r\n';
    if (`\r\n${document.toString('latin1')}`.includes('\r\n--edge')) continue;
    const octets = Buffer.concat([Buffer.from(field + fileHead + rest), document, Buffer.from(end)]);
    const got = await read(octets, random);
    assert.not.instance(got, InkmeshError, `run ${run}`);
    const { file, fields } = got as Read;
    assert.ok(file.equals(document), `run ${run}`);
    assert.equal(fields, { title: 'Größe' });
  }
});

test(`what is no form is refused as a bad request, and nothing hangs (INKMESH_SEED=${seed})`, async () => {
  const random = new Random(`no forms ${seed}`);
  const disposition = 'Content-Disposition: form-data; name=';
  const words = [
    ...[
      '--edge',
      '--edge--',
      '\r\n',
      '\r\n\r\n',
      '\r',
      '\n',
      '\0',
      ':',
      'x',
      'y'.repeat(3000),
      '__proto__: x',
    ],
    ...[
      'constructor: y',
      'Content-Type: application/pdf',
      'Content-Type: ;;;=',
      'Content-Transfer-Encoding: base64',
    ],
    ...[
      disposition,
      `${disposition}"title"`,
      `${disposition}"b"; filename="b"`,
      "name*=utf-8''%ff",
      'filename*0="x"',
    ],
  ];
  let refused = 0;
  for (let run = 0; run < 1000; run++) {
    const parts = Array.from({ length: random.below(16) }, () => random.pick(words));
    const text = (random.chance(0.7) ? fileHead : '') + parts.join(random.chance(0.5) ? '\r\n' : '');
    const got = await read(Buffer.from(text), random);
    if (!(got instanceof InkmeshError)) continue;
    refused++;
    assert.is(got.code, 'bad-request', `run ${run}: ${got.stack}`);
  }
  assert.ok(refused > 300, `${refused} were refused`);
});

test('of fields there are so many, so long, and each once', async () => {
  const random = new Random('fields');
  const of = (fields: readonly (readonly [string, string])[]) =>
    read(
      Buffer.from(
        fields.map(([name, value]) =>
          `--edge\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
        )
          .join('') + `${fileHead}\r\nx\r\n--edge--\r\n`,
      ),
      random,
    );
  const many = Array.from({ length: httpLimits.maxFields }, (_, i) => [`f${i}`, String(i)] as const);
  assert.is(Object.keys((await of(many) as Read).fields).length, httpLimits.maxFields);
  const most = 'x'.repeat(httpLimits.maxFieldBytes);
  assert.equal((await of([['a', most]]) as Read).fields, { a: most });
  for (const wrong of [[...many, ['more', '']], [['a', `${most}x`]], [['a', '1'], ['a', '2']]] as const) {
    assert.is((await of(wrong) as InkmeshError).code, 'bad-request');
  }
});

test('a form that breaks before anybody reads its file harms nobody, and the file says that it broke', async () => {
  const lost = Promise.withResolvers<never>();
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(`${fileHead}\r\n%PDF`);
    await lost.promise;
  }
  const form = await readForm(broken(), type);
  lost.reject(new InkmeshError('unavailable', 'the client has gone'));
  await new Promise((resolve) => setImmediate(resolve));
  try {
    await collect(form.file);
    assert.unreachable('half a file');
  } catch (thrown) {
    assert.is((thrown as InkmeshError).message, 'the client has gone');
  }
});

test.run();
