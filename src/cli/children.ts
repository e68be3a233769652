/** Processes that the demo starts, and ports for them. */
import type { ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

const stop_ms = 10_000;

/** Ends a process: SIGTERM, then SIGKILL when it takes too long. */
export async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  signal(child, 'SIGTERM');
  const timer = setTimeout(() => signal(child, 'SIGKILL'), stop_ms);
  await exited;
  clearTimeout(timer);
}

/** By pid: a second `child.kill()` does nothing on Deno. */
function signal(child: ChildProcess, name: 'SIGTERM' | 'SIGKILL'): void {
  if (child.pid === undefined) return;
  try {
    process.kill(child.pid, name);
  } catch {
    // it ended in this very moment
  }
}

const ports = { first: 12_000, end: 32_000 };
let next = randomInt(ports.first, ports.end);

/**
 * A TCP port of 127.0.0.1 that nobody listens on now; each is given once, as whoever asks for several listens later.
 * None of those that the system gives to connections (from 32768 on): one of those may take it before that.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = next;
    next = port + 1 < ports.end ? port + 1 : ports.first;
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      continue;
    }
    server.close();
    await once(server, 'close');
    return port;
  }
}
