import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ResponsePacket } from 'multicast-dns';
import { discoverLimits } from '../../src/limits.ts';
import { type Found, gathered, recognised } from '../../src/printers/discover.ts';
import { Heard } from '../../src/printers/dns-sd.ts';
import { isSame, uuidOf } from '../../src/printers/identity.ts';
import { hostsOf } from '../../src/printers/subnet.ts';
import { cupsQueues, windowsQueues } from '../../src/printers/system-queues.ts';
import { refusalOf } from '../fakes/organisation.ts';

type DnsRecord = NonNullable<ResponsePacket['answers']>[number];
const uuid = '0b1e2d3c-4a5f-4b6c-8d7e-9f0a1b2c3d4e';

function recordsOf(name: string, service: string, port: number, txt: string[]): DnsRecord[] {
  const instance = `${name}.${service}`;
  return [
    { name: service, type: 'PTR', data: instance },
    { name: instance, type: 'SRV', data: { target: 'Printer-1.local', port, priority: 0, weight: 0 } },
    { name: instance, type: 'TXT', data: txt },
  ];
}

test('a printer of DNS-SD is put together from records that come in any order and packet', () => {
  const records = [
    ...recordsOf('Floor 1 (2nd. door)', '_ipps._tcp.local', 631, [
      'rp=ipp/print;curl$IFS-s|sh',
      `UUID=${uuid}`,
      'ty=Laser 9',
      'note=Hall\x1b[2J',
      'pdl=application/pdf,image/urf',
    ]),
    { name: 'printer-1.local', type: 'A', data: '10.1.2.3' } as const,
  ];
  for (const order of [records, [...records].reverse(), [...records, ...records]]) {
    const heard = new Heard();
    // what is of a service that nobody has told of yet is asked for again
    for (let round = 0; round < 2; round++) for (const record of order) heard.note({ answers: [record] });
    assert.equal(heard.printers(), [{
      name: 'Floor 1 (2nd. door)',
      uuid,
      model: 'Laser 9',
      location: 'Hall [2J',
      formats: ['application/pdf', 'image/urf'],
      hosts: ['10.1.2.3'],
      uri: 'ipps://10.1.2.3:631/ipp/print%3bcurl%24IFS-s%7csh',
    }]);
    assert.is(heard.questions().length, 4);
  }
});

test('what is lacking is asked for, each service has its scheme, and our own queues are no printers', () => {
  const heard = new Heard();
  heard.note({ answers: [{ name: '_ipp._tcp.local', type: 'PTR', data: 'One._ipp._tcp.local' }] });
  const asked = heard.questions().slice(4).map(({ name, type }) => `${type} ${name}`);
  assert.equal(asked, ['SRV One._ipp._tcp.local', 'TXT One._ipp._tcp.local']);
  heard.note({ answers: recordsOf('One', '_ipp._tcp.local', 8631, ['RP=/printers/one']) });
  assert.equal(heard.questions().slice(4), [{ name: 'printer-1.local', type: 'A' }]);
  heard.note({ answers: recordsOf('Two', '_pdl-datastream._tcp.local', 9100, ['usb_SN=4711']) });
  heard.note({ answers: recordsOf('Three', '_printer._tcp.local', 515, []) });
  const ours = { target: 'inkmesh-a.local', port: 9265, priority: 0, weight: 0 };
  heard.note({ answers: [{ name: '_ipps._tcp.local', type: 'PTR', data: 'inkmesh a._ipps._tcp.local' }] });
  heard.note({ answers: [{ name: 'inkmesh a._ipps._tcp.local', type: 'SRV', data: ours }] });
  for (const name of ['printer-1.local', 'inkmesh-a.local']) {
    heard.note({ answers: [{ name, type: 'A', data: '10.1.2.3' }] });
  }
  const found = heard.printers();
  assert.equal(found.map(({ uri }) => uri), [
    'ipp://10.1.2.3:8631/printers/one',
    'socket://10.1.2.3:9100',
    undefined,
  ]);
  assert.is(found[1]?.serial, '4711');
});

test('who advertises without end is heard up to a bound', () => {
  const heard = new Heard();
  for (let i = 0; i < 2000; i++) {
    heard.note({ answers: recordsOf(`Printer ${i}`, '_ipp._tcp.local', 631, ['x'.repeat(200)]) });
    heard.note({ answers: [{ name: 'printer-1.local', type: 'A', data: `10.1.${i >> 8}.${i & 255}` }] });
  }
  assert.is(heard.printers().length, discoverLimits.maxInstances);
  assert.is(heard.printers()[0]?.hosts.length, discoverLimits.maxAddresses);
  assert.ok(heard.questions().length <= 28);
});

test('a printer is who its UUID says, else its serial number, else its address', () => {
  const [a, b] = [uuid, uuid.replace('0b', '0c')];
  assert.ok(isSame({ uuid: a, hosts: ['10.0.0.1'] }, { uuid: a, hosts: ['10.0.0.2'] }));
  assert.not.ok(isSame({ uuid: a, hosts: ['10.0.0.1'] }, { uuid: b, hosts: ['10.0.0.1'] }));
  assert.not.ok(isSame({ uuid: a, serial: '1', hosts: [] }, { uuid: b, serial: '1', hosts: [] }));
  assert.ok(isSame({ uuid: a, serial: '1', hosts: [] }, { serial: '1', hosts: ['10.0.0.1'] }));
  assert.ok(isSame({ uuid: a, hosts: ['10.0.0.1'] }, { serial: '1', hosts: ['10.0.0.1'] }));
  assert.not.ok(isSame({ hosts: [] }, { hosts: [] }));
  assert.is(uuidOf(`urn:uuid:${uuid.toUpperCase()}`), uuid);
  assert.is(uuidOf('00000000-0000-0000-0000-000000000000'), undefined);
  assert.is(uuidOf('none'), undefined);
});

const found = (more: Partial<Found>): Found => ({ hosts: [], uris: [], by: [], ...more });

test('several findings of one printer are one, with all its addresses, the best first', () => {
  const all = gathered([
    found({ hosts: ['10.1.2.3'], uris: ['socket://10.1.2.3'], by: ['system'], name: 'office' }),
    found({ serial: '4711', hosts: ['10.1.2.3'], uris: ['ipp://10.1.2.3/ipp/print'], by: ['snmp'] }),
    found({
      uuid,
      name: 'Floor 1',
      hosts: ['10.1.2.3'],
      uris: ['ipps://10.1.2.3/ipp/print'],
      by: ['dns-sd'],
    }),
    found({ hosts: ['10.1.2.4'], uris: ['socket://10.1.2.4'], by: ['snmp'] }),
  ]);
  assert.is(all.length, 2);
  assert.equal(all[0], {
    uuid,
    serial: '4711',
    name: 'Floor 1',
    hosts: ['10.1.2.3'],
    uris: ['ipps://10.1.2.3/ipp/print', 'ipp://10.1.2.3/ipp/print', 'socket://10.1.2.3'],
    by: ['dns-sd', 'snmp', 'system'],
  });
});

test('a known printer is known at a new address too', () => {
  const known = [{ name: 'floor-1', site: 'a', uri: 'ipps://10.1.2.3/ipp/print', uuid }, {
    name: 'floor-2',
    site: 'a',
    uri: 'socket://10.1.2.9',
  }];
  const recognise = (more: Partial<Found>) => {
    const { known: name, moved } = recognised(found(more), known);
    return [name, moved];
  };
  assert.equal(recognise({ uuid, hosts: ['10.1.2.3'] }), ['floor-1', false]);
  assert.equal(recognise({ uuid, hosts: ['10.1.2.99'] }), ['floor-1', true]);
  assert.equal(recognise({ hosts: ['10.1.2.9'] }), ['floor-2', false]);
  assert.equal(recognise({ hosts: ['10.1.2.8'] }), [null, false]);
});

test('subnets give their hosts, and large ones are refused', async () => {
  assert.equal(hostsOf('10.0.4.7/30'), ['10.0.4.5', '10.0.4.6']);
  assert.equal(hostsOf('10.0.4.7/32'), ['10.0.4.7']);
  assert.equal(hostsOf('10.0.4.7/31'), ['10.0.4.6', '10.0.4.7']);
  const most = hostsOf('10.0.255.0/22');
  assert.equal([most.length, most[0], most.at(-1)], [1022, '10.0.252.1', '10.0.255.254']);
  for (
    const wrong of [
      '10.0.0.0/21',
      '10.0.0.0/0',
      '10.0.0.0',
      '10.0.0/24',
      '256.0.0.0/24',
      'fe80::/64',
      '10.0.0.0/33',
      '',
    ]
  ) {
    assert.match(await refusalOf(() => hostsOf(wrong)), /^bad-request: .*subnet|too large/, wrong);
  }
});

test('queues of CUPS and Windows are read without their secrets, and ours are left out', () => {
  const said = [
    'device for office: socket://10.1.2.3:9100',
    'device for secret: ipps://ada:password@10.1.2.4/ipp/print',
    `device for found: dnssd://Laser%209._ipps._tcp.local/?uuid=${uuid}`,
    'device for desk: usb://Example/Laser?serial=4711',
    'device for inkmesh: ipps://inkmesh-main.local:9265/ipp/print/token',
    'device for other: ipps://10.1.2.5:9265/ipp/print/token',
    'lpstat: No destinations added.',
  ].join('\n');
  assert.equal(cupsQueues(said), [
    { name: 'office', uri: 'socket://10.1.2.3:9100' },
    { name: 'secret', uri: 'ipps://10.1.2.4/ipp/print' },
    { name: 'found', uri: undefined, uuid },
    { name: 'desk', uri: undefined },
  ]);
  const windows = [
    '{"protocol":"RAW","port":9100,"name":"Office","host":"10.1.2.3"}',
    '{"protocol":"","port":null,"name":"Microsoft Print to PDF","host":null}',
    '{"protocol":"","port":null,"name":"inkmesh","host":null}',
    'nonsense',
  ].join('\r\n');
  assert.equal(windowsQueues(windows), [
    { name: 'Office', uri: 'socket://10.1.2.3:9100' },
    { name: 'Microsoft Print to PDF', uri: undefined },
  ]);
});

test.run();
