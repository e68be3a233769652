/** Hellos of this node's own, over links that several callers want at the same time. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import { Gate, type Hello } from '../../mesh/gate.ts';
import type { Link } from '../../mesh/ports.ts';
import type { Admission, Rpc } from '../../mesh/rpc.ts';
import { systemClock } from '../../src/clock.ts';
import { certifiedNode } from '../fakes/mesh.ts';
import { fakeAuthority, refusalOf } from '../fakes/organisation.ts';

const authority = await fakeAuthority('Test works', Date.now());
const self = await certifiedNode(authority, { name: 'self' });
const other = await certifiedNode(authority, { name: 'other' });
const peer = other.identity.peerId;

interface World {
  gate: Gate;
  admitted: Admission;
  /** what the peer says when it opens */
  opens(link: Link): Promise<void>;
  /** how often hello has been said */
  said(): number;
  /** lets the peer answer what it has been asked, or fail */
  answer(failure?: InkmeshError): void;
  links: Link[];
}

async function world(): Promise<World> {
  const links: Link[] = [];
  const calls: { resolve(answer: { reply: Hello }): void; reject(error: Error): void }[] = [];
  let serve: (incoming: { link: Link; request: Hello }) => Promise<unknown> = () => Promise.reject();
  let admission: Admission = () => Promise.reject();
  let said = 0;
  const rpc = {
    handle: (_: unknown, server: typeof serve) => Promise.resolve(void (serve = server)),
    admitBy: (by: Admission) => admission = by,
    call: () => {
      said++;
      return new Promise((resolve, reject) => calls.push({ resolve, reject }));
    },
  } as unknown as Rpc;
  const helloOf = ({ identity, issuers }: typeof self): Hello => ({
    ...{ leaf: identity.der, issuers, time_ms: Date.now(), addresses: [] },
  });
  const gate = await Gate.open({
    ...{ rpc, trust: authority.trust, clock: systemClock, log: () => {}, maxStrangers: 32 },
    links: (of) => links.filter((link) => link.peer === of),
    introduce: () => helloOf(self),
    refusal: () => undefined,
    onMember: () => {},
  });
  return {
    ...{ gate, links, admitted: (link) => admission(link), said: () => said },
    opens: async (link) => void await serve({ link, request: helloOf(other) }),
    answer: (failure) => {
      for (const { resolve, reject } of calls.splice(0)) {
        if (failure === undefined) resolve({ reply: helloOf(other) });
        else reject(failure);
      }
    },
  };
}

function linkIn({ links }: World, relay: string | null = null): Link {
  const link: Link = {
    ...{ peer, direction: 'outbound', remote: '/ip4/192.0.2.1/tcp/1', relay, limited: false, channels: 0 },
    opened_ms: systemClock.monotonic_ms(),
    close: () => void links.splice(links.indexOf(link), 1),
  };
  links.push(link);
  return link;
}

test('who wants a link that is being greeted waits for that hello', async () => {
  const at = await world();
  const link = linkIn(at);
  const greetings = [1, 2, 3].map(() => at.gate.greet(link));
  at.answer();
  await Promise.all(greetings);
  assert.is(at.said(), 1);
  assert.is(at.gate.linkTo(peer), link);
});

test('a hello that fails ends its link, unless the peer’s own has passed there', async () => {
  const gone = new InkmeshError('timeout', 'no answer');
  const at = await world();
  const link = linkIn(at);
  const greeting = refusalOf(() => at.gate.greet(link));
  at.answer(gone);
  assert.match(await greeting, /no answer/);
  assert.equal(at.links, []);
  const used = linkIn(at);
  const second = refusalOf(() => at.gate.greet(used));
  await at.opens(used);
  at.answer(gone);
  assert.match(await second, /no answer/);
  assert.equal(at.links, [used]);
  assert.is(at.gate.linkTo(peer), used);
});

test('calls go over links that a hello has passed, direct ones first, the newest of them', async () => {
  const at = await world();
  const first = linkIn(at);
  await at.opens(first);
  linkIn(at);
  assert.is(at.gate.linkTo(peer), first, 'a new one may be anybody’s');
  const second = linkIn(at);
  await at.opens(second);
  assert.is(at.gate.linkTo(peer), second);
  const relayed = linkIn(at, '12D3KooWRelay');
  await at.opens(relayed);
  assert.is(at.gate.linkTo(peer), second);
  first.close();
  second.close();
  assert.is(at.gate.linkTo(peer), relayed);
});

test('a call that overtakes the answer to this node’s hello waits for it', async () => {
  const at = await world();
  const link = linkIn(at);
  const greeting = at.gate.greet(link);
  const admitted = at.admitted(link).then(() => 'admitted', (error: Error) => error.message);
  at.answer();
  await greeting;
  assert.is(await admitted, 'admitted');
});

test.run();
