/** The service's definition on each operating system, and the rules of each firewall. */
import { execFileSync } from 'node:child_process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { firewall, openings } from '../../src/service/firewall.ts';
import { type Line, service, startCommand } from '../../src/service/service.ts';
import { readConfig } from '../../src/config.ts';
import { requireTools } from '../fakes/require.ts';

/** name, attributes, and what is in it */
type Element = [string, Record<string, string>, Element[] | string | null];

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
  test(`${platform}: no command has an empty word`, () => {
    const system = service(platform);
    const lines: Line[] = [...system.start, ...system.stop, ...system.own(system.dir), system.isActive];
    assert.ok(lines.every((line) => line.every((word) => typeof word === 'string' && word !== '')));
  });
}

if (requireTools(['python3'])) {
  const python = (code: string, input: string): unknown =>
    JSON.parse(execFileSync('python3', ['-c', code], { input, encoding: 'utf8' }));

  test('darwin: the definition is a property list with the keys of launchd.plist(5), of their types', () => {
    const code = 'import json, plistlib, sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))';
    assert.equal(python(code, service('darwin').define([program], odd)), {
      Label: 'org.inkmesh.node',
      ProgramArguments: [program, 'node', '--dir', odd],
      UserName: '_inkmesh',
      GroupName: 'daemon',
      // 0o077: decimal, as integers of a property list are
      Umask: 63,
      RunAtLoad: true,
      KeepAlive: true,
      ThrottleInterval: 5,
      ExitTimeOut: 60,
      ProcessType: 'Background',
      StandardErrorPath: '/Library/Logs/inkmesh.log',
      SoftResourceLimits: { NumberOfFiles: 16384 },
    });
  });

  test('win32: the definition follows the Task Scheduler schema', () => {
    const code = `import json, sys, xml.etree.ElementTree as tree
def plain(e): return [e.tag, e.attrib, [plain(c) for c in e] or e.text]
print(json.dumps(plain(tree.fromstring(sys.stdin.buffer.read()))))`;
    const task = python(code, service('win32').define([program], 'C:\\a & <b>')) as Element;
    const space = '{http://schemas.microsoft.com/windows/2004/02/mit/task}';
    assert.is(task[0], `${space}Task`);
    assert.equal(task[1], { version: '1.2' });
    const at = (...path: string[]): Element =>
      path.reduce((element, name) => {
        const found = (element[2] as Element[]).filter(([tag]) => tag === space + name);
        assert.is(found.length, 1, name);
        return found[0] as Element;
      }, task);
    const names = (element: Element) => (element[2] as Element[]).map(([tag]) => tag.slice(space.length));
    // of xs:all, but for the trigger, whose order is triggerBaseType's
    assert.equal(names(task), ['RegistrationInfo', 'Triggers', 'Principals', 'Settings', 'Actions']);
    assert.equal(names(at('Triggers', 'TimeTrigger')), ['StartBoundary', 'Repetition']);
    assert.is(at('Triggers', 'TimeTrigger', 'Repetition', 'Interval')[2], 'PT1M');
    assert.equal(at('Actions')[1], { Context: 'Author' });
    assert.equal(at('Principals', 'Principal')[1], { id: 'Author' });
    assert.is(at('Principals', 'Principal', 'UserId')[2], 'S-1-5-19');
    for (const name of ['DisallowStartIfOnBatteries', 'StopIfGoingOnBatteries', 'StartWhenAvailable']) {
      assert.match(at('Settings', name)[2] as string, /^(true|false)$/);
    }
    assert.is(at('Settings', 'MultipleInstancesPolicy')[2], 'IgnoreNew');
    assert.is(at('Settings', 'ExecutionTimeLimit')[2], 'PT0S');
    assert.is(at('Actions', 'Exec', 'Command')[2], program);
    assert.is(at('Actions', 'Exec', 'Arguments')[2], '"node" "--dir" "C:\\a & <b>"');
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
