import { encode } from 'uqr';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { label } from '../../src/cli/printer-qr.ts';
import { siteLink } from '../../src/site-link.ts';

const link = siteLink('berlin', false, 9266, '/?printer=third-floor');

test('the link is the release page of a site, under its name in DNS or by mDNS', () => {
  assert.is(link, 'https://berlin.inkmesh.internal:9266/?printer=third-floor');
  assert.is(siteLink('berlin', true, 9266, '/'), 'https://inkmesh-berlin.local:9266/');
});

test('a label has the code of the link, module by module, and the printer’s name', () => {
  const svg = label('third-floor', link);
  assert.match(svg, />third-floor<\/text>/);
  assert.match(svg, /width="60mm" height="70mm"/);
  const { size, data } = encode(link, { border: 4 });
  const [, pixels] = /viewBox="0 0 (\d+) \1"/.exec(svg) ?? [];
  const scale = Number(pixels) / size;
  const drawn = new Set(
    [...svg.matchAll(/M(\d+),(\d+)h/g)].map(([, x, y]) => `${Number(x) / scale},${Number(y) / scale}`),
  );
  const dark = data.flatMap((row, y) => row.flatMap((module, x) => module ? [`${x},${y}`] : []));
  assert.equal([...drawn].sort(), dark.sort());
});

test.run();
