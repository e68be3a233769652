/** What an export holds comes back whole, and only to who has its passphrase. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lock } from '../../mesh/authority.ts';
import { exportBackup, openBackup } from '../../mesh/backup.ts';
import { directoryDoc, idOf, signFact } from '../../mesh/facts.ts';
import type { Storage } from '../../mesh/ports.ts';
import { State } from '../../src/state.ts';
import { certifiedNode } from '../fakes/mesh.ts';
import { fakeAuthority, fakePeer, refusalOf } from '../fakes/organisation.ts';
import { tempDir } from '../fakes/processes.ts';

const now = Date.now();
const authority = await fakeAuthority('Test works', now);
const registrar = await certifiedNode(authority, { name: 'a1', roles: ['registrar'] }, now);

const invite = {
  ...{
    secretHash: 'ab'.repeat(32),
    kind: 'node',
    site: 'a',
    user: null,
    roles: ['front'],
    usesLeft: 3,
  } as const,
  expires_ms: now + 1000,
  tokenLife_ms: 5000,
};

/** A fact of the registrar's, as it lies in the table. */
async function recordOf(seq: number, kind: string, subject: string, body: unknown): Promise<Uint8Array> {
  const { peerId } = registrar.identity;
  const fact = { doc: directoryDoc, author: peerId, seq, kind, subject, time_ms: now, body };
  return await signFact(registrar.key, fact);
}

async function filled(): Promise<State> {
  const state = new State(tempDir());
  const { der } = registrar.identity;
  const records = [
    await recordOf(1, 'node', registrar.identity.peerId, {
      leaf: der,
      issuers: registrar.issuers,
      seal: 'age1',
    }),
    await recordOf(2, 'name', 'b1', { peer: fakePeer('B') }),
    await recordOf(3, 'name', 'c1', { peer: fakePeer('C') }),
    await recordOf(4, 'revoked', `node:${fakePeer('C')}`, {}),
  ];
  state.facts.add(records.map((record) => ({ doc: directoryDoc, id: idOf(record), record })));
  state.invites.put({ ...invite, roles: [...invite.roles] });
  state.addresses.put(fakePeer('B'), ['/ip4/10.0.0.2/tcp/9264']);
  return state;
}

const contents = ({ facts, invites, addresses }: Pick<Storage, 'facts' | 'invites' | 'addresses'>) => ({
  facts: facts.byDoc(directoryDoc),
  invites: invites.list(),
  addresses: addresses.list(),
});

test('issuers, facts, invitations and addresses come back as they were', async () => {
  const state = await filled();
  const { file, passphrase } = await exportBackup(authority, state);
  const backup = await openBackup(file, passphrase);
  assert.is(backup.authority.trust.fingerprint, authority.trust.fingerprint);
  assert.equal(backup.authority.meshIssuer.der, authority.meshIssuer.der);
  assert.equal([...backup.nodes].sort(), ['a1', 'b1'], 'a revoked node has no name');
  const fresh = new State(tempDir());
  backup.restore(fresh);
  assert.equal(contents(fresh), contents(state));
  // once more, as after a crash in the middle
  backup.restore(fresh);
  assert.equal(contents(fresh), contents(state));
  for (const one of [state, fresh]) one.close();
});

test('a wrong passphrase, a changed octet and another file are refused', async () => {
  const state = await filled();
  const { file, passphrase } = await exportBackup(authority, state);
  state.close();
  const opening = (octets: Uint8Array, words: string) => refusalOf(() => openBackup(octets, words));
  assert.match(await opening(file, `${passphrase}a`), /^unauthenticated: the passphrase/);
  const changed = file.slice();
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
  assert.match(await opening(changed, passphrase), /^unauthenticated: /);
  const other = await lock('something else');
  assert.match(await opening(other.file, other.passphrase), /^bad-request: /);
  assert.match(await opening(new Uint8Array(100), passphrase), /^unauthenticated: /);
});

test.run();
