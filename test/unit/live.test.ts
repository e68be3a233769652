/** What pages are told of changes: soon, and not too often. */
import { Hono } from 'hono';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Fact, Mesh, UserIdentity } from '../../mesh/mod.ts';
import type { ApiEnv } from '../../src/api/app.ts';
import { type PageDoors, pageRoutes } from '../../src/api/pages.tsx';
import { liveLimits } from '../../src/limits.ts';
import { Live } from '../../src/release/live.ts';
import { waitFor } from '../fakes/processes.ts';

test('a page is told of the first change at once, and of many others once', async () => {
  let tell = () => {};
  let stopped = false;
  const live = {
    watch: (_user: string, called: () => void) => {
      tell = called;
      return () => stopped = true;
    },
  };
  const api = new Hono<ApiEnv>();
  api.use(async (c, next) => {
    c.set('by', { user: 'ada' } as UserIdentity);
    await next();
  });
  pageRoutes(api, { live } as unknown as PageDoors);
  const over = new AbortController();
  const response = await api.request('http://node/app/live?printer=', { signal: over.signal });
  const reader = response.body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  const times_ms: number[] = [];
  const flood = setInterval(() => tell(), 5);
  try {
    while (times_ms.length < 3) {
      const { value } = await reader.read();
      if (new TextDecoder().decode(value).includes('event: changed')) times_ms.push(performance.now());
    }
  } finally {
    clearInterval(flood);
    over.abort();
  }
  const [first = 0, second = 0, third = 0] = times_ms;
  // timers may be a little early
  for (const pause_ms of [second - first, third - second]) {
    assert.ok(pause_ms > liveLimits.pace_ms * 0.9, String(pause_ms));
  }
  await reader.cancel();
  await waitFor(() => stopped || undefined, { deadline_ms: 30_000, what: 'the watching to end' });
});

test('many changes that concern everybody are told to each page once, and to none that is gone', async () => {
  let note: (fact: Fact) => void = () => {};
  const ledger = { onFact: (called: typeof note) => note = called, first: () => undefined };
  const live = new Live({ ledger, members: () => [] } as unknown as Mesh);
  const told = { stays: 0, goes: 0 };
  const stop = live.watch('ada', () => told.stays++);
  const leave = live.watch('bob', () => told.goes++);
  try {
    for (let n = 0; n < 200; n++) note({ kind: 'printer', subject: `p${n}`, body: {} } as Fact);
    leave();
    await waitFor(() => told.stays > 0 || undefined, { deadline_ms: 30_000, what: 'the page to be told' });
    // later than any other timer of the flood
    await new Promise((resolve) => setTimeout(resolve, liveLimits.spread_ms));
    assert.equal(told, { stays: 1, goes: 0 });
  } finally {
    stop();
  }
});

test.run();
