/** Real processes and folders for tests, none of which outlives the process that asked for them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

/** UTF-16 units kept of each of stdout and stderr; what is older is forgotten */
const maxOutputChars = 1024 * 1024;
const poll_ms = 20;
/** how long the output of an ended process is awaited */
const pipeGrace_ms = 1000;

export interface Exit {
  /** null when a signal ended it, or when it could not be started */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Kept {
  readonly command: string;
  readonly child: ChildProcess;
  /** undefined when it could not be started */
  readonly pid: number | undefined;
  stdout(): string;
  stderr(): string;
  /** undefined while it runs */
  exit(): Exit | undefined;
  /** Resolves, never rejects, when the process has ended and its output has been read. */
  readonly ended: Promise<Exit>;
}

export interface SpawnOptions {
  /** on top of the environment of this process; undefined takes a variable away */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
}

export interface Deadline {
  readonly deadline_ms: number;
}

const running = new Set<ChildProcess>();
const folders = new Set<string>();

process.on('exit', () => {
  for (const child of running) signal(child, 'SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

/**
 * Starts a process in the process group of this one, without standard input. It is killed, at the latest, when
 * this process exits.
 */
export function spawnKept(command: string, args: readonly string[], options: SpawnOptions = {}): Kept {
  const child = spawn(command, args, {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  if (child.pid !== undefined) running.add(child);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8');
    child[name].on('data', (text: string) => output[name] = (output[name] + text).slice(-maxOutputChars));
  }
  let exit: Exit | undefined;
  const ended = endOf(child).then((how) => {
    if (child.pid === undefined) output.stderr += `${command} could not be started\n`;
    return exit = how;
  });
  return {
    command: [command, ...args].join(' '),
    child,
    pid: child.pid,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    exit: () => exit,
    ended,
  };
}

/** Deno's `child.kill` does nothing when it is called a second time; this does. */
function signal(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid === undefined || !running.has(child)) return;
  try {
    process.kill(child.pid, name);
  } catch {
    // it has just ended
  }
}

function endOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.on('error', () => {
      if (child.pid === undefined) resolve({ code: null, signal: null });
    });
    child.on('close', (code, signal) => resolve({ code, signal }));
    child.on('exit', (code, signal) => {
      running.delete(child);
      // a grandchild may hold the pipes open for ever
      setTimeout(() => resolve({ code, signal }), pipeGrace_ms).unref();
    });
  });
}

/**
 * Asks `condition` every 20 ms until it yields something else than undefined, and resolves to that.
 * @param options.what what is waited for, as the error names it: "the printer to be idle"
 * @throws Error after `deadline_ms`, and whatever `condition` throws
 */
export async function waitFor<T>(
  condition: () => T | undefined | Promise<T | undefined>,
  options: Deadline & { readonly what: string },
): Promise<T> {
  const end = performance.now() + options.deadline_ms;
  const late = () => new Error(`waited ${options.deadline_ms} ms in vain for ${options.what}`);
  while (true) {
    const value = await withTimeout(Promise.resolve(condition()), end - performance.now(), late);
    if (value !== undefined) return value;
    if (performance.now() >= end) throw late();
    await new Promise((resolve) => setTimeout(resolve, poll_ms));
  }
}

/** Resolves when a number that has grown stays the same for 300 ms. @throws as `waitFor` does */
export async function untilStalled(
  count: () => number,
  options: Deadline & { readonly what: string },
): Promise<void> {
  let last = { count: 0, at: 0 };
  await waitFor(() => {
    if (count() !== last.count) last = { count: count(), at: performance.now() };
    return last.count > 0 && performance.now() - last.at > 300 ? true : undefined;
  }, options);
}

/**
 * The first whole line of standard output, or else of standard error, that `pattern` matches.
 * @throws Error at the deadline or when the process ends without such a line, with the end of its output
 */
export async function line(kept: Kept, pattern: RegExp, options: Deadline): Promise<RegExpExecArray> {
  const once = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
  const find = () => {
    const whole = (text: string) =>
      kept.exit() === undefined ? text.slice(0, text.lastIndexOf('\n') + 1) : text;
    for (const text of [...whole(kept.stdout()).split('\n'), ...whole(kept.stderr()).split('\n')]) {
      const match = once.exec(text);
      if (match !== null) return match;
    }
    const exit = kept.exit();
    if (exit !== undefined) {
      throw new Error(`it ended (${exit.signal ?? exit.code}) without a line ${pattern}`);
    }
    return undefined;
  };
  try {
    return await waitFor(find, { ...options, what: `a line ${pattern}` });
  } catch (cause) {
    const tail = (kept.stdout() + kept.stderr()).slice(-4000);
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${kept.command}: ${reason}\n${tail}`, { cause });
  }
}

/** Ends a process: SIGTERM, and SIGKILL when it is still there after `deadline_ms`. Does nothing to an ended one. */
export async function stop(kept: Kept, options: Deadline = { deadline_ms: 5000 }): Promise<Exit> {
  if (kept.exit() !== undefined) return kept.ended;
  signal(kept.child, 'SIGTERM');
  const timer = setTimeout(() => signal(kept.child, 'SIGKILL'), options.deadline_ms);
  try {
    return await kept.ended;
  } finally {
    clearTimeout(timer);
  }
}

/** A new empty folder, removed with all that is in it when this process exits. */
export function tempDir(): string {
  const folder = mkdtempSync(join(tmpdir(), 'inkmesh-'));
  folders.add(folder);
  return folder;
}

async function withTimeout<T>(promise: Promise<T>, limit_ms: number, late: () => Error): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), Math.max(limit_ms, 1));
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
