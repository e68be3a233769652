import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { NodeIdentity } from '../../mesh/certificate.ts';
import { encode } from '../../mesh/codec.ts';
import type { Fact } from '../../mesh/facts.ts';
import { maxFactBodyBytes, maxKeyRegistrars, maxPanelKeys, maxSealedNodes } from '../../mesh/limits.ts';
import { generateSealKey } from '../../mesh/mod.ts';
import type { Role } from '../../mesh/names.ts';
import { panelTask } from '../../mesh/panel-issue.ts';
import { newest, newPanelKey, openPanelKeys, panelKeyKind, sealPanelKeys } from '../../mesh/panel-key.ts';
import { sealRecipient } from '../../mesh/seal.ts';
import type { SiteFacts } from '../../mesh/site-key.ts';
import { fakePeer, refusalOf } from '../fakes/organisation.ts';

interface Who {
  roles: readonly Role[];
  site?: string;
  revoked?: boolean;
}

/** Nodes are called by a letter, which their seal is too. @param sealed for whom the keys of site a are */
function known(who: Record<string, Who>, sealed?: string): SiteFacts {
  const nodes = Object.entries(who).map(([name, { roles, site = 'a' }]) =>
    ({ name, site, roles, peerId: fakePeer(name) }) as unknown as NodeIdentity
  );
  const fact = { body: { for: [...sealed ?? ''], sealed: new Uint8Array(1) } } as Fact;
  return {
    nodes: () => nodes,
    sealOf: (peer) => nodes.find(({ peerId }) => peerId === peer)?.name,
    latest: (kind, subject) =>
      kind === panelKeyKind.name && subject === 'a' && sealed !== undefined ? fact : undefined,
    first: (_kind, subject) =>
      nodes.some(({ name, peerId }) => subject === `node:${peerId}` && who[name]?.revoked === true)
        ? { time_ms: 0 } as Fact
        : undefined,
    about: () => [],
    identity: () => undefined,
  };
}

const [R, S]: Who[] = [{ roles: ['registrar'] }, { roles: ['registrar'] }];
const P: Who = { roles: ['front', 'panel'] };
const task = (facts: SiteFacts) => {
  const found = panelTask(facts, 'a', 'R');
  return found === undefined ? 'nothing' : `${found.what} ${[...found.recipients].sort().join('')}`;
};

test('keys are for the panel nodes of a site, and registrars', () => {
  assert.is(task(known({ R: R!, F: { roles: ['front'] }, Q: { roles: ['panel'], site: 'b' } })), 'nothing');
  assert.is(task(known({ R: R!, S: S!, P, F: { roles: ['front'] } })), 'seal PRS');
  assert.is(task(known({ R: R!, P }, 'RP')), 'compare PR');
  assert.is(task(known({ R: R!, P, Q: P }, 'RP')), 'seal PQR');
});

test('who has had them and may not any more has one more made', () => {
  assert.is(task(known({ R: R!, P, Q: { ...P, revoked: true } }, 'RPQ')), 'make PR');
  assert.is(task(known({ R: R!, P, Q: { roles: ['front'] } }, 'RPQ')), 'make PR');
  assert.is(task(known({ R: R!, S: { ...S!, revoked: true }, P }, 'RSP')), 'make PR');
});

test('a site whose only panel node is shut out has one more made too: the keys are those of all sites', () => {
  assert.is(task(known({ R: R!, S: S!, P: { ...P, revoked: true } }, 'RP')), 'make RS');
  assert.is(task(known({ R: R!, S: S!, P: { ...P, revoked: true } }, 'RS')), 'nothing');
});

test('a registrar that cannot open them leaves it to one that can, if there is one', () => {
  assert.is(task(known({ R: R!, S: S!, P }, 'SP')), 'nothing');
  assert.is(task(known({ R: R!, P }, 'P')), 'seal PR');
});

test('as many keys as are kept, for as many nodes as can be, fit into a fact', async () => {
  const seals: string[] = [];
  while (seals.length < maxSealedNodes + maxKeyRegistrars) {
    seals.push(await sealRecipient(await generateSealKey()));
  }
  const keys = newest(Array.from({ length: maxPanelKeys + 3 }, (_, i) => newPanelKey(Date.now() + i)));
  assert.is(keys.length, maxPanelKeys);
  assert.ok(keys.every(({ made_ms }, i) => i === 0 || made_ms < keys[i - 1]!.made_ms), 'the newest first');
  const body = await sealPanelKeys(keys, seals);
  const size = encode(body).length;
  assert.ok(size <= maxFactBodyBytes, `${size}`);
});

test('they open for whom they are sealed, and for nobody else', async () => {
  const [mine, other] = [await generateSealKey(), await generateSealKey()];
  const keys = [newPanelKey(2), newPanelKey(1)];
  const body = await sealPanelKeys(keys, [await sealRecipient(mine)]);
  assert.equal(await openPanelKeys(mine, body), keys);
  assert.match(await refusalOf(() => openPanelKeys(other, body)), /^corrupt/);
});

test.run();
