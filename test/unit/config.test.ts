import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readConfig } from '../../src/config.ts';
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
  assert.equal(await readConfig(undefined), defaults);
  assert.equal(await readConfig(file('{}')), defaults);
  const some = await readConfig(file('{"ports": {"mesh": 1}, "mdns": false}'));
  assert.equal(some, { ...defaults, ports: { ...defaults.ports, mesh: 1 }, mdns: false });
});

test('plain HTTP is off unless a port is given', async () => {
  assert.is((await readConfig(undefined)).ports.http, null);
  assert.is((await readConfig(file('{"ports": {"http": 9263}}'))).ports.http, 9263);
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
    const refusal = await refusalOf(() => readConfig(path));
    assert.match(refusal, /^bad-request: /);
    assert.match(refusal, path);
    assert.match(refusal, complaint);
  });
}

test('a file that is not there is named', async () => {
  const path = join(tempDir(), 'none.json');
  assert.match(await refusalOf(() => readConfig(path)), `the configuration ${path} cannot be read`);
});

test.run();
