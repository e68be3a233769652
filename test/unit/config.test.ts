/** Settings: what each place says, which one counts, and where the mistake is. */
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { explainConfig, keepSettings, ownConfig, readConfig } from '../../src/config.ts';
import { forgetEnvironment } from '../../src/config-layers.ts';
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
    process.env['INKMESH_SET_PEERS'] = 'b:1, c:2,';
    process.env['INKMESH_SET_SNMP'] = '';
    process.env['INKMESH_SET_SNMP_COMMUNITY'] = 'hush';
    const sources = { file: path, set: ['ports.mesh=4'] };
    const config = await readConfig(sources);
    const settings = await explainConfig(sources);
    forgetEnvironment();
    assert.not.ok(Object.keys(process.env).some((name) => name.startsWith('INKMESH_SET_')));
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
  [
    'config.json',
    '{"mdns": true,\n "address": "::"}',
    [],
    /config\.json:2: address: expected an IPv4 address/,
  ],
  ['config.toml', 'mdns = true\npeers = ["a:1", "b"]\n', [], /config\.toml:2: peers\.1: expected HOST:PORT/],
  ['config.toml', 'mdns = true\ncloud = "ftp://x"\n', [], /config\.toml:2: cloud: expected HOST:PORT/],
  ['config.json', '{\n  "mdns": true\n  "peers": []\n}', [], /config\.json:3 cannot be read/],
  [
    'config.json',
    '{\n  "snmp": {\n    "version": "3"\n  }\n}',
    [],
    /config\.json:2: snmp: SNMPv3 needs user/,
  ],
  ['config.json', '{\n\n "nmdns": 1}', [], /config\.json:3: nmdns: /],
  ['config.toml', 'mdns = true\n[ports]\n# high\nmesh = 65536\n', [], /config\.toml:4: ports\.mesh: /],
  ['config.toml', 'mdns = true\n\nmdns = false\n', [], /config\.toml:3 cannot be read/],
  ['config.toml', '\nmdns = \n', [], /config\.toml:2 cannot be read/],
  ['config.toml', 'snmp = { user = "ada",\n authKey = "short" }\n', [], /config\.toml:2: snmp\.authKey: /],
  ['config.toml', 'mdns = "no"\ndrain_s = -1\n', [], /config\.toml:1: mdns: .*; .*config\.toml:2: drain_s: /],
  ['config.toml', '', ['mdns=maybe'], /--set mdns: mdns: /],
  ['config.toml', '', ['mndns=true'], /--set mndns: there is no such setting/],
];
for (const [name, content, set, told] of misplaced) {
  test(`${name} ${JSON.stringify(content)} ${set}: the place that is wrong is named`, async () => {
    const file = layered(name, content);
    assert.match(await refusalOf(() => readConfig({ file, set })), told);
  });
}

const secret = 'Hush-5ecret';
const leaks: [name: string, content: string, set: string[], variables: Record<string, string>][] = [
  ['config.toml', '', [`snmp.authkey=${secret}`], {}],
  ['config.toml', '', [`snmp.authKey=${secret}`], {}],
  ['config.toml', '', [`snmp.authKey ${secret}`], {}],
  ['config.toml', '', [`snmp={"user": "ada", "authKey": "${secret}"}`], {}],
  ['config.toml', '', [`snmp=${secret}`], {}],
  ['config.toml', '', [], { SNMP: secret }],
  ['config.toml', '', [], { SNMP: `{"community": "${secret}", "authKey": 7}` }],
  ['config.toml', '', [], { SNMP_VERSION: secret }],
  ['config.toml', '', [], { SNMP_COMMUNITY: secret + '\n' }],
  ['config.toml', '', [], { SNMP_AUTHKEY: secret.slice(-7) }],
  ['config.toml', `snmp = "${secret}"`, [], {}],
  ['config.toml', `[snmp]\nprivKey = ["${secret}"]`, [], {}],
  ['config.toml', `[snmp]\nprivKey = "${secret}`, [], {}],
  ['config.toml', `[snmp]\nprivKey = ${secret}`, [], {}],
  ['config.json', `{"snmp": "${secret}"}`, [], {}],
  ['config.json', `{"snmp": {"version": "${secret}"}}`, [], {}],
  ['config.json', `{"snmp": {"authKey": "${secret}}}`, [], {}],
  ['config.json', `{"snmp": {"authKey": ${secret}}}`, [], {}],
];
for (const [name, content, set, variables] of leaks) {
  test(`${name} ${content} ${set} ${JSON.stringify(variables)}: the refusal does not tell the secret`, async () => {
    for (const [variable, value] of Object.entries(variables)) process.env[`INKMESH_SET_${variable}`] = value;
    try {
      const refusal = await refusalOf(() => readConfig({ file: layered(name, content), set }));
      assert.match(refusal, /^bad-request: /);
      assert.not.match(refusal, secret.slice(-7));
    } finally {
      forgetEnvironment();
    }
  });
}

test('a secret on the command line is refused, with the places for it; no SNMP is none', async () => {
  const refusal = await refusalOf(() => readConfig({ file: undefined, set: ['snmp.authKey=long-enough'] }));
  assert.match(refusal, /--set snmp\.authKey: .* INKMESH_SET_SNMP_AUTHKEY/);
  assert.is((await readConfig({ file: undefined, set: ['snmp=null'] })).snmp, null);
});

test('of a file with a secret that others may read a node is warned', async () => {
  const file = layered('config.toml', '[snmp]\ncommunity = "hush"\n');
  for (const [mode, warnings] of [[0o600, 0], [0o640, 1], [0o604, 1]] as const) {
    chmodSync(file, mode);
    const warned: string[] = [];
    await readConfig({ file, warn: (sentence) => warned.push(sentence) });
    assert.is(warned.length, warnings, mode.toString(8));
    for (const sentence of warned) assert.match(sentence, /config\.toml has snmp\.community, .* chmod 600/);
  }
  const plain = layered('config.toml', 'mdns = false\n');
  await readConfig({ file: plain, warn: assert.unreachable });
});

test('what is said of a setting counts over its group, in whatever order', async () => {
  for (const first of ['ports=5', 'ports=null', 'ports={"mesh": 5, "https": 6}']) {
    for (const set of [[first, 'ports.mesh=4'], ['ports.mesh=4', first]]) {
      const { ports } = await readConfig({ file: undefined, set });
      assert.is(ports.mesh, 4, set.join(' '));
      assert.is(ports.https, first.includes('{') ? 6 : 9265);
    }
  }
  assert.is((await readConfig({ file: undefined, set: ['ports.mesh=4', 'ports.mesh=7'] })).ports.mesh, 7);
});

test('a byte order mark is no mistake, and too deep a nesting is one', async () => {
  for (
    const [name, content] of [['config.toml', 'mdns = false'], ['config.json', '{"mdns": false}']] as const
  ) {
    assert.is((await readConfig({ file: layered(name, '\ufeff' + content) })).mdns, false);
    const deep = '['.repeat(50_000) + ']'.repeat(50_000);
    const nested = name === 'config.toml' ? `peers = ${deep}` : `{"peers": ${deep}}`;
    assert.match(await refusalOf(() => readConfig({ file: layered(name, nested) })), /^bad-request: /);
  }
});

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

test('what the environment and flags say is kept in the directory’s file, once, for its owner alone', async () => {
  const dir = tempDir();
  assert.is(await keepSettings(dir, []), false);
  assert.equal(readdirSync(dir), []);
  process.env['INKMESH_SET_SNMP_COMMUNITY'] = 'hush';
  assert.is(await keepSettings(dir, ['ports.mesh=4', 'mdns=false']), true);
  assert.is(await keepSettings(dir, ['ports.mesh=4']), false);
  forgetEnvironment();
  const kept = join(dir, 'config.json');
  assert.is(statSync(kept).mode & 0o777, 0o600);
  assert.is(await keepSettings(dir, ['ports.https=5']), true);
  assert.equal(JSON.parse(readFileSync(kept, 'utf8')), {
    ports: { mesh: 4, https: 5 },
    mdns: false,
    snmp: { community: 'hush' },
  });
  assert.match(await refusalOf(() => keepSettings(dir, ['ports.mesh=none'])), /^bad-request: .*ports\.mesh/);
});

test('nothing is kept in a file of TOML, of which that would take the comments', async () => {
  const path = layered('config.toml', '# mine\nmdns = false\n');
  assert.is(await keepSettings(dirname(path), ['mdns=false']), false);
  assert.match(
    await refusalOf(() => keepSettings(dirname(path), ['mdns=true'])),
    /^conflict: .*config\.toml/,
  );
});

test.run();
