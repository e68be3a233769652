import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { siteHosts } from '../../mesh/names.ts';
import {
  type DnsRecord,
  hostTtl_s,
  instanceOf,
  serviceOf,
  serviceRecords,
  serviceTtl_s,
} from '../../src/submit/advertise.ts';
import { RecordSet } from '../../src/submit/record-set.ts';
import { MemoryDoor } from '../fakes/ipp-door.ts';

const door = new MemoryDoor();
const advertised = (site: string, ipp: number | null = null) => {
  const queue = { ...door.queue, name: instanceOf(site) };
  return serviceRecords(serviceOf(site, { ...door, queue }, { ipps: 9265, ipp }));
};
const host = siteHosts('a').mdns;
const set = new RecordSet(advertised('a', 9263), host, '192.0.2.1');
const ask = (name: string, type: string, known: readonly DnsRecord[] = []) =>
  set.answersTo({ name, type } as Parameters<RecordSet['answersTo']>[0], known);
const data = (records: readonly DnsRecord[]) => records.map((record) => 'data' in record ? record.data : '');
const txtOf = (type: string) => {
  const [record] = ask(`inkmesh a.${type}.local`, 'TXT');
  return (record as { data: string[] }).data;
};

test('the queue is found by each service, and by the subtypes of AirPrint', () => {
  for (const type of ['_ipps._tcp', '_ipp._tcp']) {
    for (const asked of [type, `_universal._sub.${type}`, `_print._sub.${type}`]) {
      assert.equal(data(ask(`${asked}.local`, 'PTR')), [`inkmesh a.${type}.local`], asked);
    }
  }
  const types = data(ask('_services._dns-sd._udp.local', 'PTR'));
  assert.equal([...types].sort(), ['_ipp._tcp.local', '_ipps._tcp.local']);
});

test('each service leads to the site’s host, by the port that it has', () => {
  const target = (type: string) => data(ask(`inkmesh a.${type}.local`, 'SRV'));
  const srv = (port: number) => [{ port, target: host, priority: 0, weight: 0 }];
  assert.equal(target('_ipps._tcp'), srv(9265));
  assert.equal(target('_ipp._tcp'), srv(9263));
});

test('plain IPP is not advertised where it is off', () => {
  const names = advertised('a').map(({ name }) => name);
  assert.not.ok(names.some((name) => name.includes('_ipp._tcp')));
  assert.ok(names.some((name) => name.includes('_ipps._tcp')));
});

test('TXT records have what PWG 5100.14 and AirPrint ask for', () => {
  const txt = new Map(txtOf('_ipps._tcp').map((entry) => entry.split(/=(.*)/s, 2) as [string, string]));
  const keys = [
    'adminurl',
    'note',
    'pdl',
    'rp',
    'ty',
    'TLS',
    'UUID',
    'URF',
    'air',
    'Color',
    'Duplex',
    'kind',
  ];
  for (const key of [...keys, 'PaperMax', 'txtvers', 'qtotal', 'priority']) assert.ok(txt.get(key), key);
  assert.is([...txt.keys()][0], 'txtvers', 'comes first (RFC 6763 section 6.7)');
  assert.is(txt.get('UUID'), door.queue.uuid);
  assert.match(txt.get('adminurl') ?? '', new RegExp(`^https://${host}:9265/`));
  assert.ok(txt.get('pdl')?.split(',').includes('image/urf'));
  assert.ok(!txtOf('_ipp._tcp').some((entry) => entry.startsWith('TLS=')));
});

test('the longest names of sites stay within labels and strings of DNS', () => {
  const site = 's'.repeat(63);
  for (const record of advertised(site, 9263)) {
    for (const label of record.name.split('.')) assert.ok(Buffer.byteLength(label) <= 63, record.name);
    if (record.type !== 'TXT') continue;
    for (const entry of [record.data].flat()) assert.ok(Buffer.byteLength(entry) <= 255);
  }
});

test('nothing but addresses differs between two nodes, and nothing flushes what the other has said', () => {
  const other = new RecordSet(advertised('a', 9263), host, '192.0.2.2');
  const differs = set.all.filter((record) => !other.has(record));
  assert.equal(differs, [set.own]);
  assert.is(set.own.type, 'A');
  assert.not.ok(set.all.some((record) => 'flush' in record && record.flush));
});

test('what names a host lives for two minutes at most, so that a dead one is forgotten', () => {
  for (const record of set.all) {
    const ttl = 'ttl' in record ? record.ttl : 0;
    assert.is(ttl, record.type === 'A' || record.type === 'SRV' ? hostTtl_s : serviceTtl_s, record.name);
  }
});

test('names are compared without regard to case, and types told apart', () => {
  assert.equal(data(ask(host.toUpperCase(), 'A')), ['192.0.2.1']);
  assert.equal(ask(host, 'SRV'), []);
  assert.equal(ask('inkmesh b._ipps._tcp.local', 'SRV'), []);
  assert.equal(ask('inkmesh a._ipps._tcp.local', 'ANY').map(({ type }) => type), ['SRV', 'TXT']);
});

test('what the asker knows for a while yet is not said again', () => {
  const [pointer] = ask('_ipps._tcp.local', 'PTR');
  assert.ok(pointer);
  const known = (ttl: number) => ask('_ipps._tcp.local', 'PTR', [{ ...pointer, ttl } as DnsRecord]).length;
  assert.is(known(serviceTtl_s / 2), 0);
  assert.is(known(serviceTtl_s / 2 - 1), 1);
  const decoded = txtOf('_ipps._tcp').map((entry) => Buffer.from(entry));
  const txt = {
    name: 'inkmesh a._ipps._tcp.local',
    type: 'TXT',
    ttl: serviceTtl_s,
    data: decoded,
  } as DnsRecord;
  assert.equal(ask(txt.name, 'TXT', [txt]), []);
});

test('who asks for an IPv6 address is told that there is none', () => {
  const [answer] = ask(host, 'AAAA');
  assert.is(answer?.type, 'NSEC');
  assert.equal(data([answer!]), [{ nextDomain: host, rrtypes: ['A'] }]);
  assert.equal(ask('other.local', 'AAAA'), []);
});

test('with a pointer comes what will be asked next', () => {
  const types = set.additionals(ask('_universal._sub._ipps._tcp.local', 'PTR')).map(({ type }) => type);
  assert.equal(types, ['SRV', 'TXT', 'A']);
  assert.equal(set.additionals(ask(host, 'A')), []);
});

test.run();
