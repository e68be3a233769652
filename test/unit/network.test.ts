/** How a node reaches another one that relays would lead to, were they on. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Hello } from '../../mesh/gate.ts';
import type { FactLedger } from '../../mesh/ledger.ts';
import { dialTimeout_ms, directDial_ms, offDial_ms } from '../../mesh/limits.ts';
import { Network } from '../../mesh/network.ts';
import { defaultPolicy, siteKind } from '../../mesh/policy.ts';
import type { Link } from '../../mesh/ports.ts';
import { presenceKind } from '../../mesh/roster.ts';
import type { Reach, Rpc } from '../../mesh/rpc.ts';
import { certifiedNode } from '../fakes/mesh.ts';
import { fakeAuthority } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';
import { stillClock } from '../fakes/still-clock.ts';
import { deafTransport } from '../fakes/transport.ts';

const patience = { deadline_ms: 30_000 };
const authority = await fakeAuthority('Test works', Date.now());
const self = await certifiedNode(authority, { name: 'b1', site: 'b' });
const far = await certifiedNode(authority, { name: 'a1', site: 'a' });
const hub = await certifiedNode(authority, { name: 'hub', site: 'cloud', roles: ['relay'] });
const { peerId: peer } = far.identity;
const direct = '/ip4/192.0.2.1/tcp/1';
const through = `/ip4/192.0.2.9/tcp/1/p2p/${hub.identity.peerId}/p2p-circuit`;

interface World {
  /** whether relays may be used */
  relay: boolean;
  /** where has been dialled, oldest first */
  readonly dialled: string[];
  /** the dial that is under way succeeds */
  answer(): void;
  /** Lets time pass, then what is due. */
  pass(by_ms: number): Promise<void>;
  /** Asks for a link to a1: where it leads, or why there is none; '' until that is known. */
  ask(): { said(): string };
}

/** What b1 knows: who there is, where a1 is, and the same of every site. */
function facts(relay: () => boolean): FactLedger {
  const known = [self, far, hub].map(({ identity }) => identity);
  return {
    identity: (id: string) => known.find(({ peerId }) => peerId === id),
    nodes: () => known,
    latest: (kind: string, subject: string) => {
      if (kind === siteKind.name) return { body: { ...defaultPolicy, relay: relay() } };
      if (kind !== presenceKind.name || subject !== peer) return undefined;
      return { body: { addresses: [direct, through], awake: [], clients: null } };
    },
    first: () => undefined,
    about: () => [],
    onFact: () => {},
  } as unknown as FactLedger;
}

const linkTo = (remote: string): Link => ({
  ...{ peer, direction: 'outbound', remote, relay: null, opened_ms: 0, channels: 0, limited: false },
  close: () => {},
});

/** Node b1, which nobody answers until a test says so. */
async function world(): Promise<World> {
  const still = stillClock();
  const start_ms = Date.now();
  const clock = { ...still, wall_ms: () => start_ms + still.wall_ms() };
  const links: Link[] = [];
  const box: { reach?: Reach; answer?: () => void } = {};
  const state = { relay: true, dialled: [] as string[] };
  const hello: Hello = {
    leaf: far.identity.der,
    issuers: far.issuers,
    time_ms: start_ms,
    addresses: [direct],
  };
  const rpc = {
    handle: () => Promise.resolve(),
    admitBy: () => {},
    reachBy: (reach: Reach) => void (box.reach = reach),
    call: () => Promise.resolve({ reply: hello }),
  } as unknown as Rpc;
  const transport = deafTransport(self.identity.peerId, {
    links: (of) => links.filter((link) => of === undefined || link.peer === of),
    dial: (_peer, [address = ''], signal) => {
      state.dialled.push(address);
      return new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(new InkmeshError('timeout', 'nobody there')));
        box.answer = () => {
          links.push(linkTo(address));
          resolve(links[0] as Link);
        };
      });
    },
  });
  await Network.open({
    ...{ self: () => self.identity, issuers: () => self.issuers, trust: authority.trust, transport, rpc },
    ...{ addresses: { list: () => [], put: () => {} }, configured: [], clientPort: null, clock },
    ...{ ledger: facts(() => state.relay), log: () => {}, onMember: () => {} },
  });
  return Object.assign(state, {
    answer: () => box.answer?.(),
    pass: async (by_ms: number) => {
      still.pass(by_ms);
      for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    },
    ask: () => {
      let said = '';
      box.reach?.(peer, new AbortController().signal).then(
        ({ remote }) => said = remote,
        ({ message }: Error) => said = message,
      );
      return { said: () => said };
    },
  });
}

/** Both ways fail while the relay is on, the direct one as it is cut short for the relay; then it is turned off. */
async function afterTrouble(): Promise<World> {
  const at = await world();
  const { said } = at.ask();
  await at.pass(directDial_ms);
  await at.pass(dialTimeout_ms);
  assert.equal(at.dialled, [direct, through]);
  assert.match(said(), /nobody there/);
  at.relay = false;
  at.dialled.length = 0;
  return at;
}

test('the direct way is tried at once when a relay is off, though it has failed just now, and may be slow', async () => {
  const at = await afterTrouble();
  const { said } = at.ask();
  await at.pass(dialTimeout_ms - 1);
  assert.equal(at.dialled, [direct]);
  assert.is(said(), '');
  at.answer();
  await waitFor(() => said() || undefined, { ...patience, what: 'a link' });
  assert.is(said(), direct);
});

test('where there is no direct way the reason is told soon, and each time that somebody asks it is tried', async () => {
  const at = await afterTrouble();
  const first = at.ask();
  await at.pass(dialTimeout_ms);
  assert.is(first.said(), 'relay is off for site b: ask your operator');
  const second = at.ask();
  await at.pass(offDial_ms - 1);
  assert.is(second.said(), '');
  await at.pass(1);
  assert.is(second.said(), 'relay is off for site b: ask your operator');
  const third = at.ask();
  await at.pass(0);
  assert.is(third.said(), 'relay is off for site b: ask your operator', 'the same dial is long under way');
  assert.equal(at.dialled, [direct, direct]);
  at.answer();
  await waitFor(() => {
    const { said } = at.ask();
    return at.pass(0).then(() => said() === direct || undefined);
  }, { ...patience, what: 'a link' });
  assert.equal(at.dialled, [direct, direct], 'what nobody waited for has come');
});

test.run();
