/** Two sites of real nodes in this process that reach each other through a relay alone, and transfers between them. */
import { directoryDoc } from '../../mesh/facts.ts';
import { policyOf, siteKind } from '../../mesh/mod.ts';
import type { SitePolicy } from '../../mesh/policy.ts';
import { claim, type FakeMesh, type FakeNode, patience_ms, startMesh, type Stored } from './mesh.ts';
import { waitFor } from './processes.ts';

const startedBytes = 2 * 1024 * 1024;

export interface RelayedMesh {
  readonly mesh: FakeMesh;
  /** site a; the first is the registrar */
  readonly here: readonly FakeNode[];
  readonly hub: FakeNode;
  /** site b, which talks to other sites through the relay alone */
  readonly far: FakeNode;
  /** Decides for site b, at the registrar. */
  decide(changes: Partial<SitePolicy>): Promise<void>;
  /** Resolves when b reaches every node of a through the relay. */
  throughRelay(): Promise<void>;
}

export async function startRelayed(): Promise<RelayedMesh> {
  const mesh = await startMesh(3);
  const here = [...mesh.nodes];
  const [registrar] = here as [FakeNode];
  const hub = await mesh.add('hub', { site: 'hub', roles: ['relay'] });
  const far = await mesh.add('b1', { site: 'b', peers: [hub.address] });
  await mesh.connected();
  const { ledger } = registrar.mesh;
  const state = async (site: string, changes: Partial<SitePolicy>) => {
    await ledger.state(siteKind, () => directoryDoc, site, { ...policyOf(ledger, site), ...changes });
  };
  await state('a', { relay: true });
  await state('b', { relay: true, mesh: 'site' });
  const throughRelay = () =>
    waitFor(async () => {
      const reached = await Promise.all(here.map(({ peer }) => far.mesh.reaches(peer)));
      return reached.every(Boolean) && hub.mesh.relayed().circuits >= here.length || undefined;
    }, { deadline_ms: patience_ms, what: 'site b to reach site a through the relay' }).then(() => {});
  await throughRelay();
  return { ...{ mesh, here, hub, far, throughRelay }, decide: (changes) => state('b', changes) };
}

export interface Transfer {
  /** why it ended, '' when the document came whole */
  readonly ended: Promise<string>;
}

/** A document of site a that site b claims. Resolves when a part of it has passed. */
export async function transfer({ hub, far }: RelayedMesh, job: Stored): Promise<Transfer> {
  const passed = () => hub.mesh.relayed().bySite.get('b')?.in ?? 0;
  const before = passed();
  const ended = claim(far, job).then((claimed) => {
    claimed.yield();
    return '';
  }, ({ message }: Error) => message);
  await waitFor(() => passed() - before > startedBytes || undefined, {
    ...{ deadline_ms: patience_ms, what: 'a transfer' },
  });
  return { ended };
}
