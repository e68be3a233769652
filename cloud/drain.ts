/**
 * How a cloud node stops: first whoever asks whether it is ready hears that it is not, and it goes on for a moment, so that
 * a load balancer can turn elsewhere; then nothing new begins, and it waits for what is under way. Connections on which
 * nothing happens are not waited for: nodes keep theirs for ever.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Mesh, SocketDoor } from '../mesh/mod.ts';
import type { Bounds } from './bounds.ts';

/** part of the whole time in which it goes on as before */
const noticeShare = 0.1;
const look_ms = 500;
/** more octets than what nodes tell each other when nothing is printed */
const quietBytes = 64 * 1024;

export interface DrainParts {
  mesh: Pick<Mesh, 'relayed' | 'stopRelaying'>;
  door: Pick<SocketDoor, 'close'>;
  bounds: Pick<Bounds, 'working' | 'close'>;
  /** Says from now on that the node is not ready. */
  unready(): void;
}

/** Resolves when nothing is under way, at the latest after `limit_ms`. */
export async function drain({ mesh, door, bounds, unready }: DrainParts, limit_ms: number): Promise<void> {
  const until_ms = performance.now() + limit_ms;
  unready();
  await pause(limit_ms * noticeShare);
  mesh.stopRelaying();
  door.close();
  bounds.close();
  let before = octets(mesh);
  let carries = mesh.relayed().circuits > 0;
  while ((carries || bounds.working > 0) && performance.now() < until_ms) {
    await pause(Math.min(look_ms, Math.max(0, until_ms - performance.now())));
    const now = octets(mesh);
    carries = mesh.relayed().circuits > 0 && now - before > quietBytes;
    before = now;
  }
}

/** What has passed so far, for all sites. */
function octets(mesh: DrainParts['mesh']): number {
  return [...mesh.relayed().bySite.values()].reduce((sum, { in: got, out }) => sum + got + out, 0);
}
