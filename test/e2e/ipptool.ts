/** Debian's IPP client (package cups-ipp-utils), with the requests that come with it. */
import { join } from 'node:path';
import { spawnKept, stop } from '../fakes/processes.ts';

const suites = '/usr/share/cups/ipptool';
/** with -T libcups reads with a time limit, as CUPS's own backends do, which session tickets of TLS 1.3 would upset */
const timeLimit_s = 30;
const patience_ms = 60_000;

/**
 * Sends the requests of a file, `print-job` or a path of one's own.
 * @param document what is sent with them
 * @returns ipptool's report, with all attributes that were sent and answered
 * @throws Error with that report when an answer was not as the file expects
 */
export async function ipptool(uri: string, requests: string, document?: string): Promise<string> {
  const path = requests.includes('/') ? requests : join(suites, `${requests}.test`);
  const args = [
    '-tv',
    '-T',
    String(timeLimit_s),
    ...(document === undefined ? [] : ['-f', document]),
    uri,
    path,
  ];
  const kept = spawnKept('ipptool', args);
  const late = setTimeout(() => void stop(kept), patience_ms);
  const { code } = await kept.ended;
  clearTimeout(late);
  if (code !== 0) throw new Error(`ipptool ${requests}: exit ${code}\n${kept.stdout()}${kept.stderr()}`);
  return kept.stdout();
}
