import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { generateSealKey } from '../../mesh/mod.ts';
import { sealRecipient } from '../../mesh/seal.ts';
import type { SiteFacts } from '../../mesh/site-key.ts';
import { Tending, type TendingOptions } from '../../mesh/tending.ts';
import { fakePeer } from '../fakes/organisation.ts';

test('a node that nothing can be sealed for is left out, and named', async () => {
  const [own, good] = [
    await sealRecipient(await generateSealKey()),
    await sealRecipient(await generateSealKey()),
  ];
  const seals: Record<string, string> = { R: own, P: good, X: 'age1', Y: `age1${'q'.repeat(58)}` };
  const nodes = Object.keys(seals).map((name) => ({
    ...{ name, site: 'a', peerId: fakePeer(name) },
    roles: [name === 'R' ? 'registrar' : 'panel'],
  }));
  const sealOf = (peer: string) => seals[nodes.find(({ peerId }) => peerId === peer)?.name ?? ''];
  const warned: unknown[] = [];
  const found: (string | undefined)[] = [];
  const tending = new Tending({
    self: { authority: {}, identity: { peerId: fakePeer('R') } },
    ledger: { nodes: () => nodes, sealOf, all: () => [], onFact: () => {} },
    clock: { after: () => () => {} },
    log: (_level: string, _message: string, fields: { node: string }) => void warned.push(fields.node),
    ...{ kind: 'panel-key', role: 'panel', failure: 'failed' },
    tend: (_site: string, _own: string, known: SiteFacts) => {
      found.push(...nodes.map(({ peerId }) => known.sealOf(peerId)));
      return Promise.resolve();
    },
  } as unknown as TendingOptions);
  await tending.tendAll();
  assert.equal(found, [own, good, undefined, undefined]);
  await tending.tendAll();
  assert.equal(warned, ['X', 'Y'], 'once');
  tending.close();
});

test.run();
