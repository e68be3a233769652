import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { mobileConfig } from '../../src/cli/mobileconfig.ts';

const root = new Uint8Array(Array.from({ length: 300 }, (_, i) => i % 256));
const options = {
  organisation: 'Tom & <Jerry>',
  fingerprint: 'ab'.repeat(32),
  root,
  site: 'a',
  host: 'a.inkmesh.internal',
  port: 9265,
};

type Plist = string | number | boolean | Uint8Array | Plist[] | Map<string, Plist>;

/** Reads a property list in XML, strictly. */
function read(xml: string): Plist {
  const body =
    /^<\?xml version="1\.0" encoding="UTF-8"\?>\n<!DOCTYPE plist [^>]+>\n<plist version="1\.0">([^]*)<\/plist>\n$/
      .exec(xml)?.[1];
  assert.ok(body, 'the frame of a property list');
  const tokens = body.match(/<[^>]+>|[^<]+/g)?.filter((token) => token.trim() !== '') ?? [];
  let at = 0;
  const next = () => tokens[at++] ?? '';
  const text = (end: string) => {
    const found = tokens[at] === end ? '' : next();
    assert.is(next(), end);
    return found.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
  };
  const value = (): Plist => {
    const tag = next();
    if (tag === '<true/>' || tag === '<false/>') return tag === '<true/>';
    if (tag === '<string>') return text('</string>');
    if (tag === '<integer>') return Number(text('</integer>'));
    if (tag === '<data>') return Uint8Array.fromBase64(text('</data>'));
    if (tag === '<array>') {
      const list: Plist[] = [];
      while (tokens[at] !== '</array>') list.push(value());
      at++;
      return list;
    }
    assert.is(tag, '<dict>');
    const map = new Map<string, Plist>();
    while (tokens[at] !== '</dict>') {
      assert.is(next(), '<key>');
      map.set(text('</key>'), value());
    }
    at++;
    return map;
  };
  const read = value();
  assert.is(at, tokens.length);
  return read;
}

const profile = read(mobileConfig(options)) as Map<string, Plist>;
const payloads = profile.get('PayloadContent') as Map<string, Plist>[];
const payload = (type: string) => payloads.find((one) => one.get('PayloadType') === type);

test('a profile adds the site’s printer over TLS', () => {
  const [printer] = payload('com.apple.airprint')?.get('AirPrint') as Map<string, Plist>[];
  assert.equal(Object.fromEntries(printer ?? []), {
    IPAddress: 'a.inkmesh.internal',
    ResourcePath: '/ipp/print',
    Port: 9265,
    ForceTLS: true,
  });
});

test('it brings the organisation’s root', () => {
  assert.equal(payload('com.apple.security.root')?.get('PayloadContent'), root);
});

test('names are text, whatever is in them', () => {
  assert.is(profile.get('PayloadOrganization'), 'Tom & <Jerry>');
});

test('it is the same profile each time, and another one for another site', () => {
  assert.is(mobileConfig(options), mobileConfig(options));
  const other = read(mobileConfig({ ...options, site: 'b' })) as Map<string, Plist>;
  for (const key of ['PayloadUUID', 'PayloadIdentifier']) assert.is.not(other.get(key), profile.get(key));
  const uuids = [profile, ...payloads].map((one) => String(one.get('PayloadUUID')));
  assert.is(new Set(uuids).size, 3);
  for (const uuid of uuids) {
    assert.match(uuid, /^[0-9A-F]{8}-[0-9A-F]{4}-8[0-9A-F]{3}-8[0-9A-F]{3}-[0-9A-F]{12}$/);
  }
});

test.run();
