/**
 * How soon what passes through a relay ends when an administrator turns a site's relay off: from the decision that a
 * registrar has stated to the last circuit of that site at the relay, and to the refusal at the user. Five real nodes
 * in this process: a registrar and two more of site a, a relay, and site b, which a document is on its way to.
 */
import { store, user } from '../fakes/mesh.ts';
import { startRelayed, transfer } from '../fakes/relayed.ts';
import type { Table } from './run.ts';

const rounds = 7;
const documentBytes = 128 * 1024 * 1024;

export async function bench(): Promise<Table> {
  const relayed = await startRelayed();
  const { mesh, here: [a1], hub, decide, throughRelay } = relayed;
  const took: { circuits: number[]; told: number[] } = { circuits: [], told: [] };
  try {
    const owner = await user(mesh, 'ada');
    const document = Buffer.alloc(documentBytes, 'a document');
    for (let round = 0; round < rounds; round++) {
      const job = await store(mesh, a1!, { owner, document });
      const { ended } = await transfer(relayed, job);
      await decide({ relay: false });
      const decided_ms = performance.now();
      const told = ended.then((reason) => {
        if (!reason.startsWith('relay is off')) throw new Error(`the transfer ended with "${reason}"`);
        return performance.now() - decided_ms;
      });
      while (hub.mesh.relayed().circuits > 0) await new Promise((resolve) => setTimeout(resolve, 1));
      took.circuits.push(performance.now() - decided_ms);
      took.told.push(await told);
      await decide({ relay: true });
      await throughRelay();
    }
  } finally {
    await mesh.stop();
  }
  const row = (name: string, times: number[]) => {
    const sorted = times.toSorted((a, b) => a - b);
    return {
      ...{ name, value: sorted[rounds >> 1] ?? NaN, ratios: {} },
      more: { best: sorted[0] ?? NaN, worst: sorted.at(-1) ?? NaN },
    };
  };
  return {
    ...{ title: 'a site’s relay is turned off, median', unit: 'ms' },
    rows: [
      row('from the decision to the last circuit closed', took.circuits),
      row('from the decision to the reason at the user', took.told),
    ],
  };
}
