/** Printers that the operating system's own print queues lead to. */
import { execFile } from 'node:child_process';
import process from 'node:process';
import { printable } from '../../mesh/codec.ts';
import { discoverLimits } from '../limits.ts';
import { hostOf, uuidOf } from './identity.ts';

export interface SystemQueue {
  name: string;
  /** undefined where only the system can print to it: a USB printer, or one that it finds by itself */
  uri: string | undefined;
  uuid?: string;
}

/** @returns none where the system has no queues, or does not say */
export async function systemQueues(platform: NodeJS.Platform = process.platform): Promise<SystemQueue[]> {
  const [command, args] = platform === 'win32' ? windows : cups;
  const options = { timeout: discoverLimits.system_ms, maxBuffer: discoverLimits.maxSystemChars };
  const env = { ...process.env, LC_ALL: 'C' };
  const said = await new Promise<string>((resolve) => {
    execFile(
      command,
      [...args],
      { ...options, env, encoding: 'utf8' },
      (_error, stdout) => resolve(stdout ?? ''),
    );
  });
  return platform === 'win32' ? windowsQueues(said) : cupsQueues(said);
}

const cups = ['lpstat', ['-v']] as const;
const windows = ['powershell.exe', [
  '-NoLogo',
  '-NoProfile',
  '-NonInteractive',
  '-Command',
  'Get-Printer | ForEach-Object { $port = Get-PrinterPort -Name $_.PortName -ErrorAction SilentlyContinue; ' +
  '@{ name = $_.Name; host = $port.PrinterHostAddress; port = $port.PortNumber; protocol = "$($port.Protocol)" } ' +
  '| ConvertTo-Json -Compress }',
]] as const;

/** `device for NAME: URI` each (lpstat(1)). */
export function cupsQueues(said: string): SystemQueue[] {
  return said.split('\n').slice(0, discoverLimits.maxFound).flatMap((line) => {
    const [, name, uri = ''] = /^device for (\S+): (\S+)$/.exec(line) ?? [];
    return name === undefined || !URL.canParse(uri) ? [] : queueOf(name, uri);
  });
}

/** An object of JSON on each line. */
export function windowsQueues(said: string): SystemQueue[] {
  return said.split(/\r?\n/).slice(0, discoverLimits.maxFound).flatMap((line) => {
    const { name, host, port, protocol } = objectIn(line);
    if (typeof name !== 'string') return [];
    const isRaw = typeof host === 'string' && host !== '' && protocol !== 'LPR';
    return queueOf(name, isRaw ? `socket://${host}:${typeof port === 'number' ? port : 9100}` : 'local:');
  });
}

function objectIn(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value as Record<string, unknown> : {};
  } catch {
    return {};
  }
}

/** Our own queues are no printers, and their addresses are secrets, as whatever stands before an @ is. */
function queueOf(name: string, uri: string): SystemQueue[] {
  if (!URL.canParse(uri) || isOurs(name, uri)) return [];
  const url = new URL(uri);
  const isKnown = /^(ipps?|socket):$/.test(url.protocol) && hostOf(uri) !== '';
  [url.username, url.password] = ['', ''];
  const uuid = uuidOf(url.searchParams.get('uuid') ?? '');
  return [{
    name: printable(name, discoverLimits.maxTextChars),
    uri: isKnown ? url.href : undefined,
    ...(uuid === undefined ? {} : { uuid }),
  }];
}

function isOurs(name: string, uri: string): boolean {
  const host = hostOf(uri);
  const isOurPath = /^\/ipp\/print\/./.test(new URL(uri).pathname);
  return name === 'inkmesh' || isOurPath || /^inkmesh-.*\.local$|\.inkmesh\.internal$/.test(host);
}
