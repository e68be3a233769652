/** A panel node and a registrar that share one ledger, with what login needs of the mesh. */
import type { FactLedger } from '../../mesh/ledger.ts';
import { newPanelKey, type PanelKey } from '../../mesh/panel-key.ts';
import { directoryKinds } from '../../src/directory.ts';
import { PanelLogin } from '../../src/panel/login.ts';
import { Verifiers } from '../../src/panel/verifier.ts';
import type { AuditEntry } from '../../src/audit.ts';
import { revokedKind } from '../../mesh/revocation.ts';
import { openLedger } from './ledger.ts';
import { certifiedNode } from './mesh.ts';
import { fakeAuthority } from './organisation.ts';

export interface FakePanel {
  readonly ledger: FactLedger;
  /** newest first; a test may change them */
  keys: PanelKey[];
  readonly verifiers: Verifiers;
  readonly login: PanelLogin;
  /** what was noted, as `what who detail` */
  readonly noted: string[];
  /** of the rates, by a clock that stands still */
  clock: { now_ms: number };
  /** one more panel node, as after a restart */
  again(): PanelLogin;
}

export async function fakePanel(): Promise<FakePanel> {
  const authority = await fakeAuthority('Test works', Date.now());
  const self = await certifiedNode(authority, { name: 'p1', roles: ['registrar', 'panel'] });
  const ledger = await openLedger({
    ...{ self, trust: authority.trust, kinds: [...directoryKinds, revokedKind] },
  });
  const noted: string[] = [];
  const clock = { now_ms: 0 };
  const panel = {
    isPanel: () => true,
    keys: () => fake.keys,
    currentKey: () => Promise.resolve(fake.keys[0]!),
  };
  const mesh = { ledger, panel, self: self.identity } as unknown as ConstructorParameters<
    typeof PanelLogin
  >[0]['mesh'];
  const verifiers = new Verifiers(mesh, authority.trust.fingerprint);
  const audit = {
    record: ({ what, who, detail }: AuditEntry) => void noted.push(`${what} ${who} ${detail}`),
  };
  const again = () => new PanelLogin({ mesh, verifiers, audit, now_ms: () => clock.now_ms });
  const fake: FakePanel = {
    ...{ ledger, keys: [newPanelKey(Date.now())], verifiers, login: again(), noted, clock, again },
  };
  return fake;
}
