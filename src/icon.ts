/** The queue's icon in the three sizes of PWG 5100.13 (printer-icons), drawn when it is first asked for. */
import { crc32, deflateSync } from 'node:zlib';

/** pixels, square */
export const iconSizes = [48, 128, 512] as const;

/** From the back to the front, in 24ths of the icon: left, top, right, bottom, and red, green, blue. */
const shapes: readonly [number, number, number, number, number][] = [
  [6, 2, 18, 9, 0xe8edf2],
  [2, 8, 22, 18, 0x2f5d8a],
  [6, 14, 18, 22, 0xffffff],
  [8, 16, 16, 17, 0x9fb3c8],
  [8, 18, 14, 19, 0x9fb3c8],
  [18, 10, 20, 12, 0x7fd18c],
];

/** A PNG (RFC 2083) with transparency. */
export function drawIcon(size: number): Uint8Array<ArrayBuffer> {
  const row = 1 + size * 4;
  // each row begins with its filter, 0 for none
  const pixels = new Uint8Array(row * size);
  for (const [left, top, right, bottom, colour] of shapes) {
    const at = (share: number) => Math.round(share * size / 24);
    for (let y = at(top); y < at(bottom); y++) {
      for (let x = at(left); x < at(right); x++) {
        pixels.set([colour >> 16, colour >> 8 & 0xff, colour & 0xff, 0xff], y * row + 1 + x * 4);
      }
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(size, 0);
  head.writeUInt32BE(size, 4);
  // 8 bits of each of red, green, blue and alpha
  head.set([8, 6], 8);
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  const parts = [chunk('IHDR', head), chunk('IDAT', deflateSync(pixels)), chunk('IEND', new Uint8Array())];
  return new Uint8Array(Buffer.concat([signature, ...parts]));
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const body = Buffer.concat([Buffer.from(type, 'ascii'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  framed.set(body, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}
