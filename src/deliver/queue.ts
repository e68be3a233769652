/**
 * The operating system's own print queues, `system:QUEUE`: that of CUPS by IPP, the spooler of Windows by a program.
 * Both keep the document unencrypted on the disk until it has come out.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { InkmeshError } from '../../mesh/errors.ts';
import { deliverLimits } from '../limits.ts';
import type { Attempt, Attempted, Probe } from './deliver.ts';
import { reasonOf, Source } from './source.ts';

/** A queue of the cupsd that the programs of this machine print to. */
export function cupsAddress(queue: URL): URL {
  const server = process.env['CUPS_SERVER'] ?? '';
  // one that listens on a Unix socket only listens on this port too, as it is installed
  const host = server === '' || server.startsWith('/') ? 'localhost:631' : server;
  const at = /:\d+$/.test(host) ? host : `${host}:631`;
  return new URL(`ipp://${at}/printers/${queue.pathname}`);
}

/**
 * Writes its standard input to a queue as it is, says `open` when it may come, and `done` at the end. Before it comes the
 * title, and before each of both its length: what is on a command line can be read by everybody on the machine.
 */
const program = (queue: string) => `
$ErrorActionPreference = 'Stop'
Add-Type -TypeDefinition @'
using System; using System.ComponentModel; using System.IO;
using System.Runtime.InteropServices; using System.Text;
public static class Spooler {
  [StructLayout(LayoutKind.Sequential, CharSet = CharSet.Unicode)]
  public struct Document { public string Name; public string File; public string Type; }
  const string dll = "winspool.drv";
  [DllImport(dll, CharSet = CharSet.Unicode, SetLastError = true)]
  static extern bool OpenPrinterW(string name, out IntPtr printer, IntPtr defaults);
  [DllImport(dll, CharSet = CharSet.Unicode, SetLastError = true)]
  static extern int StartDocPrinterW(IntPtr printer, int level, ref Document document);
  [DllImport(dll, SetLastError = true)] static extern bool WritePrinter(IntPtr p, byte[] b, int n, out int written);
  [DllImport(dll, SetLastError = true)] static extern bool EndDocPrinter(IntPtr printer);
  [DllImport(dll, SetLastError = true)] static extern bool AbortPrinter(IntPtr printer);
  [DllImport(dll)] static extern bool ClosePrinter(IntPtr printer);
  static void Check(bool done) { if (!done) throw new Win32Exception(Marshal.GetLastWin32Error()); }
  public static void Print(string queue) {
    var input = Console.OpenStandardInput();
    string title = Encoding.UTF8.GetString(Read(input, BitConverter.ToInt32(Read(input, 4), 0)));
    IntPtr printer;
    Check(OpenPrinterW(queue, out printer, IntPtr.Zero));
    try {
      var document = new Document { Name = title, Type = "RAW" };
      Check(StartDocPrinterW(printer, 1, ref document) != 0);
      Console.WriteLine("open");
      try {
        var part = new byte[65536];
        long expected = BitConverter.ToInt64(Read(input, 8), 0);
        for (int n; (n = input.Read(part, 0, part.Length)) > 0;) {
          int written;
          Check(WritePrinter(printer, part, n, out written) && written == n);
          expected -= n;
        }
        if (expected != 0) throw new EndOfStreamException("the document broke off");
      } catch { AbortPrinter(printer); throw; }
      Check(EndDocPrinter(printer));
      Console.WriteLine("done");
    } finally { ClosePrinter(printer); }
  }
  static byte[] Read(Stream input, int count) {
    var all = new byte[count];
    for (int at = 0, n; at < count; at += n) {
      if ((n = input.Read(all, at, count - at)) == 0) throw new EndOfStreamException();
    }
    return all;
  }
}
'@
[Spooler]::Print(${quoted(queue)})
`;

/** @returns `sent` at best: the spooler has all of it */
export async function deliverSpooler(attempt: Attempt): Promise<Attempted> {
  const { target, ticket, limits } = attempt;
  const queue = decodeURIComponent(target.pathname);
  const source = new Source(attempt);
  const run = new Spooler(program(queue), limits.maxSpoolerChars);
  run.tell(ticket.title);
  try {
    try {
      await run.said('open', AbortSignal.any([attempt.signal, AbortSignal.timeout(limits.start_ms)]));
    } catch (thrown) {
      return { outcome: 'failed', reason: reasonOf(thrown), elsewhere: true };
    }
    await attempt.begin();
    try {
      await run.take(source, attempt.bytes);
      await run.said('done', AbortSignal.any([attempt.signal, AbortSignal.timeout(limits.stall_ms)]));
      return { outcome: 'sent', ...source.times };
    } catch (thrown) {
      return { outcome: source.begun ? 'interrupted' : 'failed', reason: reasonOf(thrown), ...source.times };
    }
  } finally {
    run.kill();
  }
}

/** That of Windows itself, wherever others of that name are. */
function powershell(): string {
  const root = process.env['SystemRoot'];
  const name = 'powershell.exe';
  return root === undefined ? name : `${root}\\System32\\WindowsPowerShell\\v1.0\\${name}`;
}

/** The program that runs, and what it says. */
class Spooler {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<never>;
  #output = '';
  #errors = '';
  #heard = () => {};

  constructor(script: string, maxChars: number) {
    const encoded = Buffer.from(script, 'utf16le').toString('base64');
    const flags = ['-NoLogo', '-NoProfile', '-NonInteractive', '-EncodedCommand', encoded];
    this.#child = spawn(powershell(), flags);
    this.#child.stdout.setEncoding('utf8').on('data', (part: string) => {
      this.#output = (this.#output + part).slice(-maxChars);
      this.#heard();
    });
    this.#child.stderr.setEncoding('utf8').on('data', (part: string) => {
      this.#errors = (this.#errors + part).slice(-maxChars);
    });
    this.#child.stdin.on('error', () => {});
    this.#ended = new Promise((_, reject) => {
      const end = (why: string) =>
        reject(new InkmeshError('unavailable', `the print queue failed: ${why.trim()}`));
      this.#child.once('error', (error) => end(error.message));
      this.#child.once('close', (code) => end(this.#errors === '' ? `exit ${code}` : this.#errors));
    });
    this.#ended.catch(() => {});
  }

  /** Resolves when it has said a word. @throws InkmeshError `unavailable` when it ends before; the signal's reason */
  async said(word: string, signal: AbortSignal): Promise<void> {
    const heard = new Promise<void>((resolve, reject) => {
      this.#heard = () => this.#output.split(/\r?\n/).includes(word) ? resolve() : undefined;
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      this.#heard();
    });
    await Promise.race([heard, this.#ended]);
  }

  tell(title: string): void {
    const octets = Buffer.from(title, 'utf8');
    const length = Buffer.alloc(4);
    length.writeInt32LE(octets.length);
    this.#child.stdin.write(Buffer.concat([length, octets]));
  }

  /** The length first, so that a document that breaks off is not taken for a whole one. */
  async take(source: Source, bytes: number): Promise<void> {
    const { stdin } = this.#child;
    const length = Buffer.alloc(8);
    length.writeBigInt64LE(BigInt(bytes));
    stdin.write(length);
    await source.pump({
      write: async (chunk) => {
        if (!stdin.write(chunk)) await Promise.race([once(stdin, 'drain'), this.#ended]);
      },
      end: () => Promise.race([new Promise<void>((resolve) => stdin.end(() => resolve())), this.#ended]),
      over: () => false,
    });
  }

  kill(): void {
    this.#child.kill();
  }
}

/** Whether there is such a queue. @throws InkmeshError `unavailable` */
export async function probeSpooler(uri: URL): Promise<Probe> {
  const script = `$ErrorActionPreference = 'Stop'
Get-Printer -Name ${quoted(decodeURIComponent(uri.pathname))} | Out-Null
Write-Output 'done'
`;
  const run = new Spooler(script, deliverLimits.maxSpoolerChars);
  try {
    await run.said('done', AbortSignal.timeout(deliverLimits.start_ms));
    return {};
  } finally {
    run.kill();
  }
}

/** A string of PowerShell in which nothing is expanded. */
function quoted(text: string): string {
  // PowerShell takes typographic quotes for quotes
  return `'${text.replaceAll(/['\u2018\u2019\u201a\u201b]/g, '$&$&').replaceAll(/[\r\n]/g, ' ')}'`;
}
