/** The service's definition on each operating system, and the rules of each firewall. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { firewall, openings } from '../../src/service/firewall.ts';
import { type Line, service, startCommand } from '../../src/service/service.ts';
import { readConfig } from '../../src/config.ts';

const odd = 'a "b" <c> & 50%';
const program = '/opt/in k/inkmesh';

test('systemd: words are quoted as its files want it', () => {
  const unit = service('linux').define([program], odd);
  assert.match(unit, String.raw`ExecStart="/opt/in k/inkmesh" node --dir "a \"b\" <c> & 50%%"`);
  for (
    const line of [
      'NoNewPrivileges=true',
      'ProtectSystem=strict',
      'MemoryMax=512M',
      'User=inkmesh',
      'Restart=always',
    ]
  ) {
    assert.ok(unit.split('\n').includes(line), line);
  }
});

for (const platform of ['darwin', 'win32'] as const) {
  test(`${platform}: the definition is well-formed XML that has the command`, () => {
    const system = service(platform);
    const text = system.define([program], odd);
    const open: string[] = [];
    for (const [, end, name, empty] of text.matchAll(/<(\/?)([A-Za-z]+)[^<>]*?(\/?)>/g)) {
      if (empty === '/') continue;
      if (end === '/') assert.is(open.pop(), name);
      else open.push(name ?? '');
    }
    assert.equal(open, []);
    assert.ok(!/&(?!amp;|lt;|gt;|quot;)/.test(text));
    assert.match(text, '&lt;c&gt; &amp; 50%');
    const lines: Line[] = [...system.start, ...system.stop, ...system.own(system.dir), system.isActive];
    assert.ok(lines.every((line) => line.every((word) => typeof word === 'string' && word !== '')));
  });
}

test('every port that others need is opened, and closed again', async () => {
  const config = await readConfig({ file: undefined, set: ['ports.http=9263'] });
  const wanted = openings(config);
  assert.equal(
    wanted.map(({ protocol, port }) => `${port}/${protocol}`),
    ['9264/tcp', '9265/tcp', '9266/tcp', '9263/tcp', '5353/udp'],
  );
  const windows = firewall(program, 'win32');
  for (const opening of wanted) {
    const [add] = windows?.add(opening) ?? [];
    assert.match(
      add?.join(' ') ?? '',
      `protocol=${opening.protocol.toUpperCase()} localport=${opening.port}`,
    );
    const [remove] = windows?.remove(opening) ?? [];
    assert.ok(remove?.includes(`name=inkmesh ${opening.what}`));
  }
  assert.match(firewall(program, 'darwin')?.add(wanted[0] as typeof wanted[number]).join(' ') ?? '', program);
});

test('what starts a node is what its directory needs', () => {
  assert.is(startCommand('/srv/x'), 'inkmesh node --dir /srv/x');
});

test.run();
