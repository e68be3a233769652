/** What an administrator should do about a node, in sentences for `status`. */
import { X509Certificate } from 'node:crypto';
import { isDue, issuerWarning_ms, type Mesh } from '../mesh/mod.ts';
import { outdated } from './panel/verifier.ts';

export function warningsOf(mesh: Mesh): string[] {
  const { membership, self, ledger } = mesh;
  const now_ms = mesh.now_ms();
  const warnings: string[] = [];
  const issuersEnd_ms = Math.min(
    ...membership.self.issuers.map((der) => Date.parse(new X509Certificate(der).validTo)),
  );
  if (issuersEnd_ms - now_ms < issuerWarning_ms) {
    warnings.push(
      `the issuers of the organisation end on ${
        day(issuersEnd_ms)
      }: new ones have to be made with the root file`,
    );
  } else if (isDue(self, now_ms)) {
    const ends = day(self.notAfter);
    warnings.push(`the certificate of this node ends on ${ends}, and no registrar has renewed it: start one`);
  }
  if (membership.nameIsTaken()) {
    warnings.push(`another node is called "${self.name}": revoke one of them, and let it join again`);
  }
  if (mesh.panel.isPanel() && mesh.panel.keys().length === 0) {
    warnings.push(
      'no registrar has given this node the keys of badges and PINs yet: nobody logs in at its panels',
    );
  }
  const exposed = outdated(mesh);
  if (exposed > 0) {
    warnings.push(
      `${exposed} users have badges or PINs that a panel node knew which was shut out: give another PIN, another card (inkmesh user pin, user badge)`,
    );
  }
  for (const { peer, reason, times } of ledger.suspects()) {
    warnings.push(`${mesh.nameOf(peer)} breaks the rules (${times} times: ${reason}): inkmesh node revoke`);
  }
  return warnings;
}

const day = (time_ms: number) => new Date(time_ms).toISOString().slice(0, 10);
