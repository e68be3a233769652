/** Small valid documents of the formats that a print dialog sends. */

/** One blank page of A4. */
export function pdf(): Uint8Array {
  const objects = [
    '<</Type/Catalog/Pages 2 0 R>>',
    '<</Type/Pages/Kids[3 0 R]/Count 1>>',
    '<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<<>>>>',
  ];
  let text = '%PDF-1.4\n';
  const offsets = objects.map((object, index) => {
    const at = text.length;
    text += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return `${String(at).padStart(10, '0')} 00000 n \n`;
  });
  const start = text.length;
  text += `xref\n0 4\n0000000000 65535 f \n${offsets.join('')}`;
  text += `trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n${start}\n%%EOF\n`;
  return new TextEncoder().encode(text);
}

export function postscript(): Uint8Array {
  return new TextEncoder().encode('%!PS-Adobe-3.0\n%%Pages: 1\n%%Page: 1 1\nshowpage\n%%EOF\n');
}

/** A square of 24 grey pixels. */
export function jpeg(): Uint8Array {
  return Buffer.from(
    '/9j/4AAQSkZJRgABAQEASABIAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7' +
      'gYKBTmCNl4x9lnN+gXz/wAALCAAYABgBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUF' +
      'BAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVW' +
      'V1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi' +
      '4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/ANn+3/8Ap2/8if8A1qP7f/6dv/In/wBarunah9u8z915ezH8Wc5z7e1cxRW14e/5' +
      'eP8AgP8AWsWitrw9/wAvH/Af61//2Q==',
    'base64',
  );
}

interface RasterType {
  /** PWG 5102.4 section 4.3.2.13 */
  colorSpace: number;
  bitsPerColor: number;
  colors: number;
}

const rasterTypes: Readonly<Record<string, RasterType>> = {
  'black-1': { colorSpace: 3, bitsPerColor: 1, colors: 1 },
  'cmyk-8': { colorSpace: 6, bitsPerColor: 8, colors: 4 },
  'sgray-8': { colorSpace: 18, bitsPerColor: 8, colors: 1 },
  'srgb-8': { colorSpace: 19, bitsPerColor: 8, colors: 3 },
  'srgb-16': { colorSpace: 19, bitsPerColor: 16, colors: 3 },
};

/** One page of one colour as PWG raster (PWG 5102.4), about a kilobyte above its header. */
export function pwgRaster(
  type: keyof typeof rasterTypes,
  dpi: number,
  [width_pt, height_pt]: [number, number],
): Uint8Array {
  const { colorSpace, bitsPerColor, colors } = rasterTypes[type] as RasterType;
  const width = Math.round(width_pt * dpi / 72);
  const height = Math.round(height_pt * dpi / 72);
  const bitsPerPixel = bitsPerColor * colors;
  const bytesPerLine = Math.ceil(width * bitsPerPixel / 8);
  const header = Buffer.alloc(1796);
  header.write('PwgRaster', 0, 'ascii');
  const words: [number, number][] = [
    [276, dpi],
    [280, dpi],
    [340, 1],
    [352, width_pt],
    [356, height_pt],
    [372, width],
    [376, height],
    [384, bitsPerColor],
    [388, bitsPerPixel],
    [392, bytesPerLine],
    [400, colorSpace],
    [420, colors],
    [452, 1],
    [456, 1],
    [460, 1],
  ];
  for (const [at, word] of words) header.writeUInt32BE(word, at);
  // a group of up to 256 equal lines, each of runs of up to 128 equal units: a pixel, or eight of them where one is a bit
  const unit = Buffer.alloc(Math.max(1, bitsPerPixel >> 3), 0xff);
  const line: Uint8Array[] = [];
  for (let left = bytesPerLine / unit.length; left > 0; left -= 128) {
    line.push(Uint8Array.of(Math.min(left, 128) - 1), unit);
  }
  const lines: Uint8Array[] = [];
  for (let left = height; left > 0; left -= 256) lines.push(Uint8Array.of(Math.min(left, 256) - 1), ...line);
  return Buffer.concat([Buffer.from('RaS2'), header, ...lines]);
}
