/** Damage to octets, and HTTP around them, for fuzzing. */
import fc from 'fast-check';

const ascii = (text: string) => Buffer.from(text, 'latin1');
export const crlf = '\r\n';

interface Damage {
  /** 0 to 1, of the length */
  at: number;
  what: 'set' | 'insert' | 'remove' | 'length';
  octets: Uint8Array;
}

const lengths = [0x0000, 0x0001, 0x00ff, 0x7fff, 0x8000, 0xffff].map((length) =>
  Uint8Array.of(length >> 8, length & 0xff)
);

const damage: fc.Arbitrary<Damage> = fc.record({
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  what: fc.constantFrom<Damage['what'][]>('set', 'insert', 'remove', 'length'),
  octets: fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 12 }), fc.constantFrom(...lengths)),
});

function apply(octets: Uint8Array, { at, what, octets: other }: Damage): Uint8Array {
  const from = Math.floor(at * octets.length);
  const removed = what === 'set' || what === 'remove' ? other.length : what === 'length' ? 2 : 0;
  const added = what === 'remove' ? [] : what === 'length' ? other.subarray(0, 2) : other;
  return Uint8Array.of(...octets.subarray(0, from), ...added, ...octets.subarray(from + removed));
}

/** Octets set, inserted, removed and overwritten by lengths, in one to six places. */
export const damaged = (whole: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> =>
  fc.tuple(whole, fc.array(damage, { minLength: 1, maxLength: 6 }))
    .map(([octets, all]) => all.reduce(apply, octets));

/** The beginning of them, an octet at least. */
export const cut = (whole: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> =>
  fc.tuple(whole, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }))
    .map(([octets, at]) => octets.subarray(0, 1 + Math.floor(at * (octets.length - 1))));

/** One chunk of a chunked body (RFC 9112 section 7.1). */
export function chunk(octets: Uint8Array): Uint8Array {
  return Buffer.concat([ascii(octets.length.toString(16) + crlf), octets, ascii(crlf)]);
}

/** A chunked body in pieces of these sizes, the rest in one. */
export function chunked(octets: Uint8Array, sizes: readonly number[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const size of [...sizes, octets.length]) {
    const part = octets.subarray(at, at + size);
    at += part.length;
    if (part.length > 0) parts.push(chunk(part));
  }
  return Buffer.concat([...parts, ascii(`0${crlf}${crlf}`)]);
}

/** A request: its first line, headers, a blank line, the body. */
export function request(first: string, headers: readonly string[], body: Uint8Array): Uint8Array {
  return Buffer.concat([ascii([first, ...headers, '', ''].join(crlf)), body]);
}

/** A POST of IPP with the length of its body. */
export function post(path: string, body: Uint8Array): Uint8Array {
  const headers = ['Host: printer', 'Content-Type: application/ipp', `Content-Length: ${body.length}`];
  return request(`POST ${path} HTTP/1.1`, headers, body);
}

/** A POST of IPP in chunks, framed as the caller says. */
export function postFramed(path: string, framed: Uint8Array): Uint8Array {
  const headers = ['Host: printer', 'Content-Type: application/ipp', 'Transfer-Encoding: chunked'];
  return request(`POST ${path} HTTP/1.1`, headers, framed);
}
