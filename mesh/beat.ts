/** Heartbeats between members: a peer that does not answer is gone, one that does tells its clock. */
import * as v from 'valibot';
import { integer } from './codec.ts';
import type { Gate } from './gate.ts';
import { beatTimeout_ms } from './limits.ts';
import type { Clock, Link } from './ports.ts';
import { type Method, noReply, type Rpc } from './rpc.ts';

const beatReply = v.strictObject({ time_ms: integer(0, Number.MAX_SAFE_INTEGER) });

const beat: Method<typeof noReply, typeof beatReply> = {
  name: 'beat',
  request: noReply,
  reply: beatReply,
  admission: 'member',
};

export async function serveBeats(rpc: Rpc, clock: Clock): Promise<void> {
  await rpc.handle(beat, () => Promise.resolve({ reply: { time_ms: Math.trunc(clock.wall_ms()) } }));
}

/** Whether a node answers; it is dialled if need be. */
export function answers(rpc: Rpc, peer: string): Promise<boolean> {
  return rpc.call(peer, beat, {}, { timeout_ms: beatTimeout_ms }).then(() => true, () => false);
}

/** One round: asks over every link to a member, and ends those over which nothing comes back. Never rejects. */
export async function beatAll(rpc: Rpc, gate: Gate, links: readonly Link[]): Promise<void> {
  await Promise.all(
    links.filter((link) => gate.member(link.peer) !== undefined).map(async (link) => {
      try {
        const { reply } = await rpc.call(link.peer, beat, {}, { link, timeout_ms: beatTimeout_ms });
        gate.heardTime(link.peer, reply.time_ms);
      } catch {
        link.close();
      }
    }),
  );
}
