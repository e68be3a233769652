/** What a node asked of the operating system, as strace saw it, and whether it was durable before it was told. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Kept, spawnKept, stop, tempDir, waitFor } from '../fakes/processes.ts';

/** One system call. Times are seconds since the epoch. */
export interface SystemCall {
  name: string;
  start_s: number;
  end_s: number;
  /** of its first argument: `/path`, or `TCP:[127.0.0.1:1->127.0.0.1:2]` */
  file: string;
  /** all of it, as strace prints it */
  text: string;
  result: number;
}

const traced =
  'fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto,sendmsg,pwrite64,read,recvfrom,recvmsg';
/** `strace -f -ttt -T`: thread, time, call; in two lines when another thread came between */
const callLine = /^(\d+) +(\d+\.\d+) (?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*)$/;
const outcome = /= (-?\d+)[^=]*<(\d+\.\d+)>$/;
const unfinished = / <unfinished \.\.\.>$/;

/** The completed calls of a trace, in the order of their ends. */
export function parseTrace(trace: string): SystemCall[] {
  const begun = new Map<string, { start_s: number; text: string }>();
  const calls: SystemCall[] = [];
  for (const line of trace.split('\n')) {
    const [, thread = '', time = '', name = '', rest = ''] = callLine.exec(line) ?? [];
    if (thread === '') continue;
    if (unfinished.test(rest)) {
      begun.set(thread, { start_s: Number(time), text: `${name}(${rest.replace(unfinished, '')}` });
      continue;
    }
    const [, result, took_s] = outcome.exec(rest) ?? [];
    if (result === undefined) continue;
    const first = line.includes('resumed>') ? begun.get(thread) : undefined;
    begun.delete(thread);
    const start_s = first?.start_s ?? Number(time);
    const text = first === undefined ? `${name}(${rest}` : first.text + rest;
    const file = /^\w+\(\d+<(.*?)>(?:, |\))/.exec(text)?.[1] ?? /^\w+\("(.*?)"/.exec(text)?.[1] ?? '';
    calls.push({ name, start_s, end_s: start_s + Number(took_s), file, text, result: Number(result) });
  }
  return calls.sort((a, b) => a.end_s - b.end_s);
}

export interface Tracer {
  /** Ends the trace. */
  stop(): Promise<SystemCall[]>;
}

/** Attaches strace to a running process; resolves when it sees every call. */
export async function traceProcess(pid: number): Promise<Tracer> {
  const file = join(tempDir(), `${pid}.trace`);
  const options = ['-f', '-yy', '-ttt', '-T', '-s', '16', '-e', `trace=${traced}`, '-o', file];
  const strace: Kept = spawnKept('strace', [...options, '-p', String(pid)]);
  await attached(strace);
  return {
    stop: async () => {
      await stop(strace);
      return parseTrace(readFileSync(file, 'utf8'));
    },
  };
}

/** Resolves when a running strace sees every call. */
export async function attached(strace: Kept): Promise<void> {
  const is = () => /attached/.test(strace.stderr()) ? true : undefined;
  await waitFor(is, { deadline_ms: 40_000, what: 'strace to attach' });
}

const syncs = ['fsync', 'fdatasync'];
const isWal = (call: SystemCall) => call.file.endsWith('/state.sqlite-wal');
export const isWalSync = (call: SystemCall) => syncs.includes(call.name) && isWal(call) && call.result === 0;

/** Ports of a TCP call, this side's first. */
function portsOf(call: SystemCall): [number, number] | undefined {
  const [, own, other] = /^TCP(?:v6)?:\[.*:(\d+)->.*:(\d+)\]$/.exec(call.file) ?? [];
  return own === undefined ? undefined : [Number(own), Number(other)];
}

const sends = ['write', 'writev', 'sendto', 'sendmsg'];
const receives = ['read', 'recvfrom', 'recvmsg'];

/**
 * Yamux tells of windows, pings and ends by frames of a header only, 12 octets; any number of them goes in one write,
 * with 18 octets of Noise's tag and length for each encryption: a multiple of 6. What says that a piece is stored, or
 * gives a vote, is none: 28 octets after its header.
 */
function says(call: SystemCall): boolean {
  return call.result % 6 !== 0;
}

/** Calls that send something to a TCP peer, or get something from it. */
export function traffic(
  calls: readonly SystemCall[],
  way: 'to' | 'from',
  isPeer: (own: number, other: number) => boolean,
) {
  const names = way === 'to' ? sends : receives;
  return calls.filter((call) => {
    const ports = portsOf(call);
    return names.includes(call.name) && ports !== undefined && call.result > 0 && isPeer(...ports);
  });
}

/** The connections between two traced processes. */
export function between(
  one: readonly SystemCall[],
  two: readonly SystemCall[],
): (own: number, other: number) => boolean {
  const ends = (calls: readonly SystemCall[]) => new Set(calls.map((call) => portsOf(call)?.join()));
  const [mine, theirs] = [ends(one), ends(two)];
  return (own, other) => mine.has(`${own},${other}`) && theirs.has(`${other},${own}`);
}

/**
 * The steps by which a holder makes a piece durable: the envelope's octets on disk, then its name, then its share
 * and ticket. Each is looked for after the end of the one before.
 * @returns when the last one ended, or which one is missing
 */
export function stored(calls: readonly SystemCall[]): { end_s: number } | { missing: string } {
  const isPart = (call: SystemCall) => /\/envelopes\/[^/]+\.part$/.test(call.file);
  const last = calls.findLast((call) => call.name === 'pwrite64' && isPart(call));
  if (last === undefined) return { missing: 'an envelope' };
  const steps: [string, (call: SystemCall) => boolean][] = [
    ['fsync of the envelope', (call) => syncs.includes(call.name) && isPart(call)],
    ['rename', (call) => call.name.startsWith('rename')],
    ['fsync of the directory', (call) => syncs.includes(call.name) && /\/envelopes$/.test(call.file)],
    ['write to the database', (call) => call.name === 'pwrite64' && isWal(call)],
    ['sync of the database', isWalSync],
  ];
  let end_s = last.end_s;
  for (const [what, is] of steps) {
    const step = calls.find((call) => is(call) && call.start_s >= end_s && call.result >= 0);
    if (step === undefined) return { missing: what };
    end_s = step.end_s;
  }
  return { end_s };
}

/** What is wrong with how a holder told `peer` that it has stored a piece; '' when nothing is. */
export function storeFault(
  calls: readonly SystemCall[],
  isPeer: (own: number, other: number) => boolean,
): string {
  const done = stored(calls);
  if ('missing' in done) return `missing: ${done.missing}`;
  const lastData = calls.findLast((call) =>
    call.name === 'pwrite64' && call.file.endsWith('.part')
  ) as SystemCall;
  const said = traffic(calls, 'to', isPeer).filter((call) => says(call) && call.start_s >= lastData.end_s);
  const [first] = said;
  if (first === undefined) return 'missing: an answer';
  return first.start_s < done.end_s ? `told before it was durable: ${first.text}` : '';
}

/** What is wrong with how a client was told that its job is accepted; '' when nothing is. */
export function acceptFault(
  accepting: readonly SystemCall[],
  holders: readonly (readonly SystemCall[])[],
  isClient: (own: number, other: number) => boolean,
): string {
  const answer = traffic(accepting, 'to', isClient).find((call) => call.text.includes('"HTTP/1.1 200'));
  if (answer === undefined) return 'missing: an answer';
  for (const [index, calls] of holders.entries()) {
    const done = stored(calls);
    if ('missing' in done) return `holder ${index}: missing: ${done.missing}`;
    // the piece first, the job fact second
    const sealed = calls.find((call) => isWalSync(call) && call.start_s >= done.end_s);
    if (sealed === undefined || sealed.end_s > answer.start_s) {
      return `holder ${index}: accepted before it had the job fact`;
    }
  }
  return '';
}

/**
 * What is wrong with how a holder voted; '' when nothing is.
 * @param requestBytes what is at least as long is the request: it brings the grant and its certificates
 */
export function voteFault(
  calls: readonly SystemCall[],
  isPeer: (own: number, other: number) => boolean,
  { after_s, requestBytes }: { after_s: number; requestBytes: number },
): string {
  const request = traffic(calls, 'from', isPeer).find((call) =>
    call.result >= requestBytes && call.start_s >= after_s
  );
  if (request === undefined) return 'missing: a request';
  const reply = traffic(calls, 'to', isPeer).find((call) => says(call) && call.start_s >= request.end_s);
  if (reply === undefined) return 'missing: a reply';
  const synced = calls.find((call) => isWalSync(call) && call.start_s >= request.end_s);
  return synced === undefined || synced.end_s > reply.start_s
    ? `voted before it was durable: ${reply.text}`
    : '';
}
