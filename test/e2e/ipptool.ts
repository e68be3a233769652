/** Debian's IPP client (package cups-ipp-utils), with the requests that come with it. */
import { join } from 'node:path';
import { spawnKept } from '../fakes/processes.ts';

const suites = '/usr/share/cups/ipptool';

/**
 * Sends the requests of a file, `print-job` or a path of one's own.
 * @param document what is sent with them
 * @returns ipptool's report, with all attributes that were sent and answered
 * @throws Error with that report when an answer was not as the file expects
 */
export async function ipptool(uri: string, requests: string, document?: string): Promise<string> {
  const path = requests.includes('/') ? requests : join(suites, `${requests}.test`);
  const args = ['-tv', '-T', '60', ...(document === undefined ? [] : ['-f', document]), uri, path];
  const kept = spawnKept('ipptool', args);
  const { code } = await kept.ended;
  if (code !== 0) throw new Error(`ipptool ${requests}: exit ${code}\n${kept.stdout()}${kept.stderr()}`);
  return kept.stdout();
}
