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

/**
 * A TCP port of 127.0.0.1 that nobody listens on now. None of those that the system gives to connections (from 32768
 * on): one of those may take it before whoever asked listens there.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(12_000, 32_000);
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
