import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createApi } from '../../src/api/app.ts';
import { refusalLimits } from '../../src/limits.ts';
import { State } from '../../src/state.ts';
import { fakeAuthority, fakePeer } from '../fakes/organisation.ts';
import { tempDir } from '../fakes/processes.ts';

test('what nobody foresaw is logged with its stack and its cause, and what is refused is not', async () => {
  const { trust } = await fakeAuthority('Example', Date.now());
  const logged: Record<string, unknown>[] = [];
  const state = new State(tempDir());
  const api = createApi({
    trust,
    audience: fakePeer('A'),
    now_ms: () => {
      throw new Error('no time', { cause: new Error('the clock is gone') });
    },
    known: { first: () => undefined, latest: () => undefined, about: () => [], identity: () => undefined },
    log: (level, what, fields) => logged.push({ level, what, ...fields }),
    audit: state.audit,
    site: 'a',
  });
  const headers = { authorization: 'Inkmesh xxxx' };
  const failed = await api.request('https://a.example/v1/jobs?secret=1', { headers });
  assert.is(failed.status, 500);
  assert.is(logged.length, 1);
  const [entry] = logged;
  assert.equal([entry?.['level'], entry?.['method'], entry?.['path']], ['error', 'GET', '/v1/jobs']);
  for (const part of ['no time', 'the clock is gone', 'api-app.test.ts']) {
    assert.match(String(entry?.['error']), part);
  }
  assert.not.match(JSON.stringify(entry), 'secret');
  assert.equal(state.audit.list(10), []);
  assert.is((await api.request('https://a.example/v1/jobs?secret=1')).status, 401);
  assert.is(logged.length, 1);
  const [row] = state.audit.list(10);
  assert.equal([row?.what, row?.who], ['refused', null]);
  assert.match(row?.detail ?? '', /^GET \/v1\/jobs: sign the request/);
  for (let i = 0; i < 20; i++) await api.request('https://a.example/v1/jobs');
  assert.is(state.audit.list(100).length, refusalLimits.maxFailures);
  state.close();
});

test.run();
