/** Parts of the cloud node: where clients come from, what it remembers, what Prometheus is told, what is passed on. */
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Hono } from 'hono';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { listenAddress } from '../../cloud/config.ts';
import { CloudDb } from '../../cloud/db.ts';
import { metricsRoute } from '../../cloud/metrics.ts';
import { noSpool } from '../../cloud/no-spool.ts';
import { clientAddress } from '../../cloud/proxy.ts';
import { refuseUnpassable } from '../../src/api/passed.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { tempDir } from '../fakes/processes.ts';

const asked = (remoteAddress: string, forwarded?: string) =>
  ({ socket: { remoteAddress }, headers: { 'x-forwarded-for': forwarded } }) as unknown as IncomingMessage;

test('only trusted proxies say where a client comes from, and only of whom they were asked by', () => {
  const address = clientAddress(['127.0.0.1', '10.0.0.0/8', 'fd00::/8']);
  assert.is(address(asked('192.0.2.1')), '192.0.2.1');
  assert.is(address(asked('192.0.2.1', '198.51.100.7')), '192.0.2.1', 'no proxy of ours');
  assert.is(address(asked('127.0.0.1', '198.51.100.7')), '198.51.100.7');
  assert.is(address(asked('::ffff:127.0.0.1', '198.51.100.7, 10.1.2.3')), '198.51.100.7');
  assert.is(address(asked('127.0.0.1', '1.2.3.4, 198.51.100.7')), '198.51.100.7', 'what the client made up');
  assert.is(address(asked('127.0.0.1', 'unknown')), '127.0.0.1');
  assert.is(address(asked('127.0.0.1')), '127.0.0.1');
  assert.is(clientAddress([])(asked('127.0.0.1', '198.51.100.7')), '127.0.0.1');
});

test('the trail is only added to, and what was counted outlives the process', () => {
  const dir = tempDir();
  const db = new CloudDb(dir);
  db.note({ what: 'asked', who: 'boss', from: null, detail: 'POST /v1/sites/b\nmore' });
  db.see(['P']);
  db.addRelayed(new Map([['a', 5], ['b', 7]]));
  db.addRelayed(new Map([['b', 3]]));
  db.close();
  const raw = new DatabaseSync(join(dir, 'cloud.sqlite'));
  for (const sql of ['DELETE FROM trail', "UPDATE trail SET who = 'eve'"]) {
    assert.throws(() => raw.exec(sql), /only added to/);
  }
  raw.close();
  const again = new CloudDb(dir);
  assert.equal(again.trail(10).map(({ who, detail }) => [who, detail]), [['boss', 'POST /v1/sites/b more']]);
  assert.equal([...again.relayed()], [['a', 5], ['b', 10]]);
  assert.equal([...again.seen().keys()], ['P']);
  again.close();
});

test('metrics are for who has the token, and there are none without one', async () => {
  const measures = [
    { name: 'members', help: 'nodes', label: 'site', read: () => new Map([['a', 3], ['b', 2]]) },
    { name: 'circuits', help: 'circuits', read: () => new Map([['', 4]]) },
  ];
  const off = new Hono();
  metricsRoute(off, undefined, measures);
  assert.is((await off.request('/metrics')).status, 404);
  const on = new Hono();
  metricsRoute(on, 'a long enough token', measures);
  assert.is((await on.request('/metrics')).status, 401);
  assert.is((await on.request('/metrics', { headers: { authorization: 'Bearer wrong' } })).status, 401);
  const given = await on.request('/metrics', { headers: { authorization: 'Bearer a long enough token' } });
  const text = await given.text();
  for (const line of ['inkmesh_members{site="a"} 3', 'inkmesh_members{site="b"} 2', 'inkmesh_circuits 4']) {
    assert.ok(text.split('\n').includes(line), line);
  }
});

test('there is no place for a document', async () => {
  assert.match(await refusalOf(() => noSpool.create('job')), /^forbidden: a cloud node keeps no documents/);
  assert.is(await noSpool.open('job'), undefined);
  assert.equal(await noSpool.list(), []);
});

test('what is passed on is a user’s job, a site’s policy and the directory, and nothing else', async () => {
  const job = '0b0e8a1e-3d0f-8c2b-9f0a-1f2e3d4c5b6a';
  for (
    const [method, path] of [
      ['POST', `/v1/jobs/${job}/release`],
      ['POST', `/v1/jobs/${job}/cancel`],
      ['POST', '/v1/sites/b'],
      ['GET', '/v1/directory/nodes?site=a&address=10.0.0.1%2C10.0.0.2'],
    ] as const
  ) refuseUnpassable({ method, path });
  for (
    const [method, path] of [
      ['GET', '/v1/status'],
      ['POST', '/v1/users/ada/invite'],
      ['POST', '/v1/export'],
      ['GET', `/v1/jobs/${job}/release`],
      ['POST', `/v1/jobs/${job}/release/../../../export`],
      ['POST', '/v1/sites/b/../../export'],
    ] as const
  ) {
    assert.match(
      await refusalOf(() => Promise.resolve().then(() => refuseUnpassable({ method, path }))),
      /^forb/,
    );
  }
});

test('where it listens is an address and a port', async () => {
  assert.equal(listenAddress('0.0.0.0:443'), { address: '0.0.0.0', port: 443 });
  assert.equal(listenAddress('[::]:8443'), { address: '::', port: 8443 });
  for (const bad of ['443', 'localhost:443', '0.0.0.0:70000', '1.2.3:4']) {
    assert.match(await refusalOf(() => Promise.resolve().then(() => listenAddress(bad))), /^bad-request/);
  }
});

test.run();
