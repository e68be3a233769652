/** Whether others can reach this node by themselves: members are asked to dial it anew where they know it to be. */
import * as v from 'valibot';
import { maxProbers, maxProbeStreams, probeTimeout_ms } from './limits.ts';
import type { Transport } from './ports.ts';
import { type Method, noReply, type Rpc } from './rpc.ts';

const probeReply = v.strictObject({
  /** null: the callee knows no address of the caller yet */
  reachable: v.nullable(v.boolean()),
});

const probe: Method<typeof noReply, typeof probeReply> = {
  name: 'probe',
  request: noReply,
  reply: probeReply,
  admission: 'member',
  maxStreams: maxProbeStreams,
};

export interface Probed {
  /** PeerId of who has tried */
  peer: string;
  /** null when it could not be asked, or knew no address */
  reachable: boolean | null;
}

/** @param addressesOf multiaddrs at which a node has said that it is: nobody chooses whom others dial */
export async function serveProbes(
  rpc: Rpc,
  transport: Pick<Transport, 'probe'>,
  addressesOf: (peer: string) => readonly string[],
): Promise<void> {
  await rpc.handle(probe, async ({ from }) => {
    const direct = addressesOf(from).filter((address) => !address.includes('/p2p-circuit'));
    return { reply: { reachable: direct.length === 0 ? null : await transport.probe(from, direct) } };
  });
}

/** Asks some members at once. Never rejects. */
export async function probed(rpc: Rpc, members: readonly string[]): Promise<Probed[]> {
  return await Promise.all(
    members.slice(0, maxProbers).map((peer) =>
      rpc.call(peer, probe, {}, { timeout_ms: probeTimeout_ms }).then(
        ({ reply }) => ({ peer, reachable: reply.reachable }),
        () => ({ peer, reachable: null }),
      )
    ),
  );
}
