/** What a node remembers of others, and when it dials them. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Discovery, type DiscoveryOptions } from '../../mesh/discovery.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Gate } from '../../mesh/gate.ts';
import {
  directAgain_ms,
  directAgainMin_ms,
  freshFailure_ms,
  maxUnmetPeers,
  redialMax_ms,
  refusedAgain_ms,
} from '../../mesh/limits.ts';
import type { Link, Transport } from '../../mesh/ports.ts';

const deadline_ms = 30_000;
const direct = '/ip4/192.0.2.1/tcp/1';
const relayed = '/ip4/192.0.2.9/tcp/1/p2p/12D3KooWRelay/p2p-circuit';

interface World {
  discovery: Discovery;
  /** what was dialled, oldest first: the peer, and where */
  dialled: { peer: string | null; addresses: string[] }[];
  /** lets time pass, then what is due */
  pass(by_ms: number): Promise<void>;
}

/** A discovery whose dials end as `answer` says: by default nobody is there. */
function world(
  changes: Partial<DiscoveryOptions> = {},
  answer: (peer: string | null, addresses: readonly string[]) => Link | Error = () =>
    new InkmeshError('unavailable', 'nobody there'),
  greet: (link: Link) => void = () => {},
): World {
  let now_ms = 1000;
  const dialled: World['dialled'] = [];
  const linked = new Map<string, Link>();
  const transport = {
    peer: 'self',
    links: (peer?: string) => [...linked.values()].filter((link) => peer === undefined || link.peer === peer),
    dial: (peer: string | null, addresses: readonly string[]) => {
      dialled.push({ peer, addresses: [...addresses] });
      const answered = answer(peer, addresses);
      return answered instanceof Error ? Promise.reject(answered) : Promise.resolve(answered);
    },
  } as unknown as Transport;
  const gate = {
    members: () => [...linked.keys()],
    linkTo: (peer: string) => linked.get(peer),
    greet: (link: Link) => {
      greet(link);
      linked.set(link.peer, link);
      return Promise.resolve();
    },
  } as unknown as Gate;
  const discovery = new Discovery({
    ...{ transport, gate, configured: [], addresses: { list: () => [], put: () => {} } },
    clock: {
      wall_ms: () => now_ms,
      monotonic_ms: () => now_ms,
      uptime_ms: () => now_ms,
      after: () => () => {},
    },
    log: () => {},
    wanted: () => [],
    listed: () => [],
    mayDial: () => true,
    isRelay: () => true,
    ...changes,
  });
  const pass = async (by_ms: number) => {
    now_ms += by_ms;
    discovery.tick();
    // what was dialled has been refused, or greeted, when all that waits has run
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  return { discovery, dialled, pass };
}

const link = (peer: string, remote = direct): Link => ({
  ...{
    peer,
    direction: 'outbound',
    remote,
    relay: null,
    limited: false,
    opened_ms: Number.MAX_SAFE_INTEGER,
    channels: 0,
  },
  close: () => {},
});

test('peers known by hearsay are bounded, and those that were met are kept', async () => {
  const { discovery, dialled, pass } = world();
  discovery.met('real', [direct]);
  for (let i = 0; i < 2000; i++) {
    discovery.heard(`invented-${i}`, ['/ip4/127.0.0.1/tcp/1']);
    discovery.heard('real', Array.from({ length: 8 }, (_, port) => `/ip4/127.0.0.1/tcp/${port + 1}`));
  }
  for (let second = 0; second < 60; second++) await pass(1000);
  assert.is(
    dialled.find(({ peer }) => peer === 'real')?.addresses[0],
    direct,
    'what it said itself is first',
  );
  const peers = new Set(dialled.map(({ peer }) => peer));
  assert.ok(peers.size > 1 && peers.size <= maxUnmetPeers + 1, `${peers.size} peers`);
});

test('who does not answer is dialled ever less often, and never given up', async () => {
  const { discovery, dialled, pass } = world({ wanted: () => ['away'] });
  discovery.met('away', [direct]);
  for (let second = 0; second < 600; second++) await pass(1000);
  assert.ok(dialled.length >= 20 && dialled.length <= 40, `${dialled.length} times in 10 minutes`);
  assert.ok(discovery.isAway('away'));
});

test('who refuses this node is left alone for long', async () => {
  const refuse = () => {
    throw new InkmeshError('forbidden', 'site b talks to its own nodes only');
  };
  const { discovery, dialled, pass } = world({ wanted: () => ['closed'] }, () => link('closed'), refuse);
  discovery.met('closed', [direct]);
  for (let ms = 0; ms < refusedAgain_ms - 2000; ms += 1000) await pass(1000);
  assert.is(dialled.length, 1);
  await pass(4000);
  assert.is(dialled.length, 2);
});

test('nobody is dialled who may not be, directly or through a relay', async () => {
  const { discovery, dialled, pass } = world({
    wanted: () => ['one', 'other'],
    mayDial: (peer, through) => peer === 'one' && through,
  });
  discovery.met('one', [direct, relayed]);
  discovery.met('other', [direct, relayed]);
  await pass(1000);
  assert.equal(dialled, [{ peer: 'one', addresses: [relayed] }]);
});

test('a relay is used where no direct connection is possible, and at once for some seconds after', async () => {
  const { discovery, dialled, pass } = world(
    { wanted: () => ['far'] },
    (_peer, addresses) =>
      addresses.includes(relayed) ? link('far', relayed) : new InkmeshError('unavailable', 'no route'),
    () => {
      throw new InkmeshError('unavailable', 'it went away in mid-hello');
    },
  );
  discovery.met('far', [direct, relayed]);
  await pass(1000);
  assert.equal(dialled.map(({ addresses }) => addresses), [[direct], [relayed]]);
  await pass(directAgainMin_ms - 1);
  assert.equal(dialled.slice(2).map(({ addresses }) => addresses), [[relayed]]);
  dialled.length = 0;
  await pass(directAgainMin_ms);
  assert.equal(dialled.map(({ addresses }) => addresses), [[direct], [relayed]]);
});

/** The direct way of one that relays lead to: it opens late, or not at all. */
function far(opens_ms: number) {
  const through: Link = { ...link('far', relayed), relay: '12D3KooWRelay' };
  const state = { relay: true, passed_ms: 0 };
  const dial = (_peer: string | null, addresses: readonly string[]) => {
    if (addresses.includes(direct) && state.passed_ms >= opens_ms) return link('far');
    return addresses.includes(relayed) ? through : new InkmeshError('unavailable', 'no answer');
  };
  const mayDial = (_peer: string, isRelayed: boolean) => state.relay || !isRelayed;
  const made = world({ wanted: () => ['far'], mayDial }, dial);
  made.discovery.met('far', [direct, relayed]);
  const isDirect = (one: { addresses: string[] }) => one.addresses.includes(direct);
  return {
    ...made,
    state,
    isLinked: async () =>
      (await made.discovery.reach('far', AbortSignal.timeout(deadline_ms)).catch(() => undefined))?.relay ===
        null,
    attempts: () => made.dialled.filter(isDirect).length,
    pass: async (by_ms: number) => {
      for (const end_ms = state.passed_ms + by_ms; state.passed_ms < end_ms; state.passed_ms += 250) {
        await made.pass(250);
      }
    },
  };
}

test('who is reached through a relay is reached directly some seconds after that is possible', async () => {
  const { isLinked, pass } = far(4000);
  await pass(4000);
  assert.not(await isLinked());
  await pass(2 * directAgainMin_ms);
  assert.ok(await isLinked());
});

test('a direct way that never opens is tried ever less often, and never given up', async () => {
  const { attempts, isLinked, pass } = far(Infinity);
  await pass(3600_000);
  assert.not(await isLinked());
  assert.ok(attempts() >= 12 && attempts() <= 24, `${attempts()} times in an hour`);
  const before = attempts();
  await pass(directAgain_ms + 1000);
  assert.is(attempts(), before + 1);
});

test('the direct way is dialled for whoever asks once no relay may be used, whatever failed before', async () => {
  const { discovery, isLinked, state } = far(250);
  state.relay = false;
  assert.not(await isLinked());
  assert.ok(discovery.isBlocked('far'));
  state.passed_ms = 250;
  assert.ok(await isLinked());
  assert.not(discovery.isBlocked('far'));
});

test('a relay that is none of the organisation’s is not dialled through', async () => {
  const { discovery, dialled, pass } = world({ wanted: () => ['far'], isRelay: () => false });
  discovery.met('far', [relayed]);
  for (let second = 0; second < 60; second++) await pass(1000);
  assert.equal(dialled, []);
});

test('of many peers only a few are dialled at a time while a node has no connections', async () => {
  const open = new Set<string>();
  const { discovery, pass } = world({}, (peer) => {
    open.add(peer ?? '');
    return new InkmeshError('unavailable', 'nobody there');
  });
  for (let i = 0; i < 100; i++) discovery.met(`peer-${i}`, [direct]);
  await pass(1000);
  assert.ok(open.size > 0 && open.size <= 6, `${open.size} at once`);
  for (let second = 0; second < 60; second++) await pass(1000);
  assert.is(open.size, 100, 'and all in time');
});

test('a peer that ends its connections at once is not dialled again at once', async () => {
  const { discovery, dialled, pass } = world({ wanted: () => ['fickle'] }, () => link('fickle'), () => {
    throw new InkmeshError('unavailable', 'it went away');
  });
  discovery.met('fickle', [direct]);
  for (let second = 0; second < 60; second++) {
    await pass(1000);
    discovery.lost(link('fickle'));
  }
  assert.ok(dialled.length < 10, `${dialled.length} times in a minute`);
});

test('a configured address is dialled until somebody answers there', async () => {
  let up = false;
  const { dialled, pass } = world(
    { configured: [direct] },
    () => up ? link('somebody') : new InkmeshError('unavailable', 'nobody there'),
  );
  for (let second = 0; second < 60; second++) await pass(1000);
  assert.ok(dialled.length > 5);
  up = true;
  await pass(redialMax_ms);
  const before = dialled.length;
  for (let second = 0; second < 60; second++) await pass(1000);
  assert.is(dialled.length, before);
});

test('a peer is dialled as soon as it is known where it is, or where it is now', async () => {
  let listed: string[] = [];
  let up = false;
  const { discovery, dialled, pass } = world(
    { wanted: () => ['late'], listed: () => listed },
    () => up ? link('late') : new InkmeshError('unavailable', 'nobody there'),
  );
  for (let second = 0; second < 60; second++) await pass(1000);
  assert.equal(dialled, []);
  assert.ok(discovery.isAway('late'));
  listed = [direct];
  await pass(1000);
  assert.is(dialled.length, 1, 'nothing had failed before');
  for (let second = 0; second < 120; second++) await pass(1000);
  up = true;
  discovery.heard('late', ['/ip4/192.0.2.77/tcp/1']);
  await pass(1000);
  assert.not(discovery.isAway('late'));
});

test('a disk that is full shuts nobody out', () => {
  const put = () => {
    throw new InkmeshError('unavailable', 'the disk is full');
  };
  const { discovery } = world({ addresses: { list: () => [], put } });
  discovery.met('near', [direct]);
  assert.not(discovery.isAway('near'));
});

test('what a dial has told of a peer is not believed for long', async () => {
  let may = true;
  const { discovery, pass } = world({ mayDial: () => may });
  discovery.met('gone', [direct]);
  await discovery.reach('gone', new AbortController().signal).catch(() => {});
  assert.ok(discovery.hasJustFailed('gone'));
  may = false;
  await pass(freshFailure_ms);
  assert.ok(discovery.isAway('gone'));
  assert.not(discovery.hasJustFailed('gone'));
});

test('callers that need a peer at once share one dial, and none waits for another that gave up', async () => {
  let answer = (_link: Link) => {};
  const { discovery, dialled } = world({}, () => link('near'));
  const waiting = new Promise<Link>((resolve) => answer = resolve);
  const slow = world({
    transport: {
      peer: 'self',
      links: () => [],
      dial: () => {
        dialled.push({ peer: 'near', addresses: [] });
        return waiting;
      },
    } as unknown as Transport,
  }).discovery;
  slow.met('near', [direct]);
  const stop = new AbortController();
  const gaveUp = slow.reach('near', stop.signal).then(() => '', (error: InkmeshError) => error.code);
  const patient = slow.reach('near', new AbortController().signal);
  stop.abort();
  assert.is(await gaveUp, 'unavailable');
  answer(link('near'));
  assert.is((await patient).peer, 'near');
  assert.is(dialled.length, 1);
  assert.ok(discovery);
});

test.run();
