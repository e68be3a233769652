/** Settings: what each place says, which one counts, and where the mistake is. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { explainConfig, ownConfig, readConfig } from '../../src/config.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { tempDir } from '../fakes/processes.ts';

function file(content: string): string {
  const path = join(tempDir(), 'config.json');
  writeFileSync(path, content);
  return path;
}

const defaults = {
  address: '0.0.0.0',
  ports: { http: null, mesh: 9264, https: 9265, release: 9266 },
  peers: [],
  mdns: true,
  storage: { quota_bytes: 10 * 1024 ** 3, reserve_bytes: 1024 ** 3 },
  snmp: {
    community: 'public',
    authProtocol: 'sha',
    privProtocol: 'aes',
    port: 161,
    traps: false,
    trapPort: 162,
  },
  drain_s: 30,
  printerWait_s: 600,
  systemQueues: false,
};

test('without a file, and for what a file leaves out, the defaults hold', async () => {
  assert.equal(await readConfig({ file: undefined }), defaults);
  assert.equal(await readConfig({ file: file('{}') }), defaults);
  const some = await readConfig({ file: file('{"ports": {"mesh": 1}, "mdns": false}') });
  assert.equal(some, { ...defaults, ports: { ...defaults.ports, mesh: 1 }, mdns: false });
});

test('plain HTTP is off unless a port is given', async () => {
  assert.is((await readConfig({ file: undefined })).ports.http, null);
  assert.is((await readConfig({ file: file('{"ports": {"http": 9263}}') })).ports.http, 9263);
});

const wrong: Record<string, RegExp> = {
  '{"mdsn": true}': /mdsn/,
  '{"ports": {"mesh": 65536}}': /ports\.mesh/,
  '{"ports": {"mesh": -1}}': /ports\.mesh/,
  '{"ports": {"htps": 1}}': /ports\.htps/,
  '{"snmp": {"version": "3"}}': /SNMPv3 needs user/,
  '{"snmp": {"user": "ada", "authKey": "short"}}': /snmp\.authKey/,
  '{"drain_s": 1.5}': /drain_s/,
  '{"storage": {"quota_bytes": -1}}': /storage\.quota_bytes/,
  '{"peers": "a:1"}': /peers/,
  '{"mdns": "yes"}': /mdns/,
  '7': /./,
  '{': /cannot be read/,
};
for (const [content, complaint] of Object.entries(wrong)) {
  test(`${content} is refused, naming the file and what is wrong`, async () => {
    const path = file(content);
    const refusal = await refusalOf(() => readConfig({ file: path }));
    assert.match(refusal, /^bad-request: /);
    assert.match(refusal, path);
    assert.match(refusal, complaint);
  });
}

test('a file that is not there is named', async () => {
  const path = join(tempDir(), 'none.json');
  assert.match(await refusalOf(() => readConfig({ file: path })), `the configuration ${path} cannot be read`);
});

const layered = (name: string, content: string) => {
  const path = join(tempDir(), name);
  writeFileSync(path, content);
  return path;
};

const same: Record<string, string> = {
  'config.json':
    '{\n  "mdns": false,\n  "ports": {\n    "mesh": 1,\n    "https": 2\n  },\n  "peers": ["a:1"]\n}\n',
  'config.toml': 'mdns = false\npeers = ["a:1"]\n\n# of this machine\n[ports]\nmesh = 1\nhttps = 2\n',
};
for (const [name, content] of Object.entries(same)) {
  test(`${name}: flags over the environment over the file over the defaults, and each setting says whence it comes`, async () => {
    const path = layered(name, content);
    process.env['INKMESH_SET_PORTS_HTTPS'] = '3';
    process.env['INKMESH_SET_PEERS'] = 'b:1, c:2';
    process.env['INKMESH_SET_SNMP'] = '';
    const sources = { file: path, set: ['ports.mesh=4', 'snmp.community=hush'] };
    const config = await readConfig(sources);
    const settings = await explainConfig(sources);
    for (const variable of ['PORTS_HTTPS', 'PEERS', 'SNMP']) delete process.env[`INKMESH_SET_${variable}`];
    assert.equal(config, {
      ...defaults,
      ports: { http: null, mesh: 4, https: 3, release: 9266 },
      mdns: false,
      peers: ['b:1', 'c:2'],
      snmp: { ...defaults.snmp, community: 'hush' },
    });
    const of = (key: string) => settings.find((setting) => setting.key === key);
    assert.equal(of('ports.mesh'), { key: 'ports.mesh', value: 4, origin: '--set ports.mesh' });
    assert.equal(of('ports.https'), { key: 'ports.https', value: 3, origin: 'INKMESH_SET_PORTS_HTTPS' });
    assert.equal(of('mdns'), {
      key: 'mdns',
      value: false,
      origin: `${path}:${name.endsWith('toml') ? 1 : 2}`,
    });
    assert.equal(of('drain_s'), { key: 'drain_s', value: 30, origin: null });
    assert.equal(of('snmp.community')?.value, '(not shown)');
    assert.not.match(JSON.stringify(settings), 'hush');
  });
}

const misplaced: [name: string, content: string, set: string[], told: RegExp][] = [
  [
    'config.json',
    '{\n  "mdns": true,\n  "ports": {\n    "mesh": 65536\n  }\n}',
    [],
    /config\.json:4: ports\.mesh: /,
  ],
  ['config.json', '{\n  "mdns": true\n  "peers": []\n}', [], /config\.json:3 cannot be read/],
  [
    'config.json',
    '{\n  "snmp": {\n    "version": "3"\n  }\n}',
    [],
    /config\.json:2: snmp: SNMPv3 needs user/,
  ],
  ['config.json', '{\n\n "nmdns": 1}', [], /config\.json:3: nmdns: /],
  ['config.toml', 'mdns = true\n[ports]\n# high\nmesh = 65536\n', [], /config\.toml:4: ports\.mesh: /],
  ['config.toml', 'mdns = true\nmdns = false\n', [], /config\.toml:[12] cannot be read/],
  ['config.toml', 'mdns = \n', [], /config\.toml:[12] cannot be read/],
  ['config.toml', 'snmp = { user = "ada",\n authKey = "short" }\n', [], /config\.toml:\d: snmp\.authKey: /],
  ['config.toml', 'mdns = "no"\ndrain_s = -1\n', [], /config\.toml:1: mdns: .*; .*config\.toml:2: drain_s: /],
  ['config.toml', '', ['mdns=maybe'], /--set mdns: mdns: /],
  ['config.toml', '', ['mndns=true'], /--set mndns=true: there is no such setting/],
];
for (const [name, content, set, told] of misplaced) {
  test(`${name} ${JSON.stringify(content)} ${set}: the place that is wrong is named`, async () => {
    const file = layered(name, content);
    assert.match(await refusalOf(() => readConfig({ file, set })), told);
  });
}

test('a variable of no setting is refused, and a wrong one is named', async () => {
  for (const [variable, value] of [['INKMESH_SET_MDSN', 'true'], ['INKMESH_SET_DRAIN_S', 'long']] as const) {
    process.env[variable] = value;
    try {
      assert.match(await refusalOf(() => readConfig({ file: undefined })), variable);
    } finally {
      delete process.env[variable];
    }
  }
});

test('of two configurations in one data directory none counts', () => {
  const dir = tempDir();
  assert.is(ownConfig(dir), undefined);
  writeFileSync(join(dir, 'config.toml'), '');
  assert.is(ownConfig(dir), join(dir, 'config.toml'));
  writeFileSync(join(dir, 'config.json'), '{}');
  assert.throws(() => ownConfig(dir), /only one/);
});

test.run();
