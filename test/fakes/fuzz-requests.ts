/** What a hostile or broken client sends a printer: everything from one damaged octet to a bomb. */
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { encodeMessage } from '../../src/ipp/codec.ts';
import { keyword } from '../../src/ipp/message.ts';
import { operations } from '../../src/ipp/registry.ts';
import { brokenMessage, hasDocument, plain, refusedMessages, validPrintJob } from './fuzz-ipp.ts';
import { chunk, chunked, crlf, cut, damaged, post, postFramed, request } from './fuzz-octets.ts';

export interface Hostile {
  /** what is wrong with it */
  name: string;
  octets: Uint8Array;
  /**
   * `whole`: HTTP is in order, the connection may go on. Else it is the client's last: `fin` closes its side then,
   * `reset` breaks it off.
   */
  ends: 'whole' | 'fin' | 'reset';
  /** an answer that the job was accepted would be wrong */
  refused: boolean;
}

const ascii = (text: string) => Buffer.from(text, 'latin1');
const ending = fc.constantFrom('fin' as const, 'fin' as const, 'reset' as const);

/**
 * @param printer ipp: URI with a token
 * @param seed of the valid requests that are broken: to make them takes longer than to send them
 */
export function hostile(printer: string, seed: number): fc.Arbitrary<Hostile> {
  const valid = fc.constantFrom(
    ...fc.sample(validPrintJob(printer).map(encodeMessage), { seed, numRuns: 300 }),
  );
  const path = new URL(printer.replace(/^ipp/, 'http')).pathname;
  return fc.oneof(
    // what reaches the holders costs most, and is the least of it
    { weight: 50, arbitrary: messages(printer, path, valid) },
    { weight: 15, arbitrary: refusals(printer, path, seed) },
    { weight: 16, arbitrary: http(printer, path) },
    { weight: 14, arbitrary: framings(path, valid) },
    { weight: 4, arbitrary: lengths(path, valid) },
    { weight: 1, arbitrary: compressed(printer, path) },
  );
}

/** In whole HTTP requests. */
function messages(printer: string, path: string, valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Hostile> {
  return fc.tuple(brokenMessage(printer, valid), fc.array(fc.nat(40), { maxLength: 4 }), fc.boolean())
    .map(([octets, sizes, inChunks]) => ({
      name: 'message',
      octets: inChunks ? postFramed(path, chunked(octets, sizes)) : post(path, octets),
      ends: 'whole',
      refused: false,
    }));
}

function refusals(printer: string, path: string, seed: number): fc.Arbitrary<Hostile> {
  const reasons = Object.entries(refusedMessages(printer)).map(([name, message]) => {
    const some = fc.sample(message.map(encodeMessage), { seed, numRuns: 20 });
    return fc.tuple(fc.constantFrom(...some), fc.uint8Array({ minLength: 1, maxLength: 200 }))
      .map(([made, document]): Hostile => ({
        name,
        octets: post(path, Buffer.concat([made, document])),
        ends: 'whole',
        refused: true,
      }));
  });
  return fc.oneof(...reasons);
}

const headerText = fc.string({
  unit: fc.constantFrom(...'ab1:;, \t"\\%\x00\x01\x7f\x80\xff\n'),
  maxLength: 60,
});

const odd = (...some: string[]) => fc.constantFrom(...some);

const firstLines = (path: string): fc.Arbitrary<string> =>
  fc.oneof(
    headerText,
    odd('', ' ', 'POST', `POST ${path}`, `POST ${path} HTTP/9.9`, `POST  ${path} HTTP/1.1`),
    odd(`post ${path} HTTP/1.1`, `PRI * HTTP/2.0`, `CONNECT x:1 HTTP/1.1`, `\x16\x03\x01\x02\x00\x01`),
    odd(`POST http://x${path} HTTP/1.1`, `POST /%zz HTTP/1.1`, `POST ${path}/../../x HTTP/1.1`),
    odd(`DELETE ${path} HTTP/1.1`, `GET ${path}?${'q'.repeat(9000)} HTTP/1.1`, `OPTIONS * HTTP/1.0`),
    fc.integer({ min: 1, max: 70_000 }).map((size) => `POST /${'a'.repeat(size)} HTTP/1.1`),
  );

const headers: fc.Arbitrary<string> = fc.oneof(
  headerText,
  fc.tuple(headerText, headerText).map(([name, value]) => `${name}: ${value}`),
  odd('-1', '+3', '0x10', '1, 2', '18446744073709551617', '', '5').map((value) => `Content-Length: ${value}`),
  odd('chunked', 'gzip, chunked', 'xchunked', 'chunked, chunked').map((value) =>
    `Transfer-Encoding: ${value}`
  ),
  odd(
    'Expect: 100-continue',
    'Expect: cake',
    'Upgrade: h2c',
    'Connection: Upgrade',
    'Host: other',
    ' folded',
  ),
  odd('Authorization: Basic', 'Authorization: Basic !!!!', 'Authorization: Bearer', 'Cookie: a=b'),
  fc.integer({ min: 1000, max: 100_000 }).map((size) => `X-Long: ${'v'.repeat(size)}`),
  fc.integer({ min: 100, max: 3000 }).map((count) =>
    Array.from({ length: count }, (_, i) => `X-${i}: ${i}`).join(crlf)
  ),
);

/** First lines and headers; no document comes with them. */
function http(printer: string, path: string): fc.Arbitrary<Hostile> {
  const body = encodeMessage(plain(printer, operations['Print-Job']));
  const good = ['Host: printer', 'Content-Type: application/ipp'];
  const length = `Content-Length: ${body.length}`;
  const line = `POST ${path} HTTP/1.1`;
  const made = fc.oneof(
    fc.tuple(firstLines(path), fc.constant([...good, length])),
    fc.tuple(
      fc.constant(line),
      fc.tuple(headers, fc.constant([...good, length])).map(([bad, rest]) => [bad, ...rest]),
    ),
    fc.tuple(fc.constant(line), fc.tuple(headers, headers).map(([a, b]) => [...good, a, b])),
  ).map(([first, rest]) => request(first, rest, body));
  const octets = fc.oneof(
    { weight: 6, arbitrary: made },
    {
      weight: 2,
      arbitrary: damaged(fc.constant(request(line, [...good, length], body)))
        .filter((octets) =>
          !hasDocument(Buffer.from(octets).subarray(Buffer.from(octets).indexOf(crlf + crlf) + 4))
        ),
    },
    { weight: 1, arbitrary: cut(made) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 500 }) },
  );
  return fc.tuple(octets, ending).map(([all, ends]) => ({ name: 'http', octets: all, ends, refused: false }));
}

/** Chunked bodies that are broken before they end; what comes before may be all of a document. */
function framings(path: string, message: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Hostile> {
  const whole = fc.oneof(
    { weight: 19, arbitrary: cut(message) },
    { weight: 1, arbitrary: message.map((made) => Buffer.concat([made, ascii('%PDF-1.4')])) },
  );
  const broken = fc.oneof(
    fc.constantFrom('zz', '-1', '0x5', ' 5', '5 5', 'FFFFFFFFFFFFFFFFF', '7fffffffffffffff', '\x00', ';', '')
      .map(
        (size) => ascii(`${size}${crlf}hello${crlf}0${crlf}${crlf}`),
      ),
    // shorter and longer than it says
    fc.constantFrom('1', '3', 'ff', '100000').map((size) =>
      ascii(`${size}${crlf}hello${crlf}0${crlf}${crlf}`)
    ),
    fc.constantFrom('5hello', `5${crlf}hello0${crlf}`, `5${crlf}helloXX0${crlf}${crlf}`).map(ascii),
    fc.integer({ min: 20_000, max: 100_000 }).map((size) => ascii(`5;${'e'.repeat(size)}`)),
    // no last chunk
    fc.constantFrom('', `5${crlf}hel`, `5${crlf}hello${crlf}`, `5${crlf}hello${crlf}0`).map(ascii),
    fc.uint8Array({ minLength: 1, maxLength: 60 }).filter((octets) => !Buffer.from(octets).includes('\n')),
  );
  return fc.tuple(whole, broken, ending).map(([octets, tail, ends]) => ({
    name: 'framing',
    octets: postFramed(path, Buffer.concat([chunk(octets), tail])),
    ends,
    refused: true,
  }));
}

/** Content-Length that promises more than comes, or ends within the attributes. */
function lengths(path: string, message: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Hostile> {
  const headers = (length: number) => [
    'Host: printer',
    'Content-Type: application/ipp',
    `Content-Length: ${length}`,
  ];
  const more = fc.tuple(
    message,
    fc.uint8Array({ minLength: 1, maxLength: 3000 }),
    fc.integer({ min: 1, max: 2 ** 40 }),
  )
    .map(([made, document, lie]) => {
      const body = Buffer.concat([made, document]);
      return request(`POST ${path} HTTP/1.1`, headers(body.length + lie), body);
    });
  const less = fc.tuple(message, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })).map((
    [made, at],
  ) => request(`POST ${path} HTTP/1.1`, headers(Math.floor(made.length * at)), made));
  return fc.tuple(fc.oneof({ weight: 1, arbitrary: more }, { weight: 3, arbitrary: less }), ending)
    .map(([octets, ends]) => ({ name: 'length', octets, ends, refused: true }));
}

const bombs = [1, 4, 16].map((size) => gzipSync(new Uint8Array(size * 1024 * 1024)));

/** Documents that say that they are compressed: damaged, cut off, no gzip at all; bombs of up to 16 MiB that break. */
function compressed(printer: string, path: string): fc.Arbitrary<Hostile> {
  const small = fc.uint8Array({ minLength: 100, maxLength: 4000 }).map((octets) =>
    new Uint8Array(gzipSync(octets))
  );
  const broken = fc.oneof(
    { weight: 10, arbitrary: small.map((zipped) => zipped.subarray(0, zipped.length - 5)) },
    {
      weight: 10,
      arbitrary: small.map((zipped) => Uint8Array.of(...zipped.subarray(0, -8), 1, 2, 3, 4, 5, 6, 7, 8)),
    },
    { weight: 10, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 2000 }).filter(([a]) => a !== 0x1f) },
    { weight: 1, arbitrary: fc.constantFrom(...bombs).map((bomb) => bomb.subarray(0, bomb.length - 5)) },
  );
  return fc.tuple(broken, fc.boolean()).map(([document, isDeflate]) => {
    // the first octet of a gzip file begins a block of a reserved type (RFC 1951 section 3.2.3)
    const coding = isDeflate && document[0] === 0x1f ? 'deflate' : 'gzip';
    const message = plain(printer, operations['Print-Job'], [keyword('compression', coding)]);
    const octets = post(path, Buffer.concat([encodeMessage(message), document]));
    return { name: `compressed ${coding}`, octets, ends: 'whole' as const, refused: true };
  });
}
