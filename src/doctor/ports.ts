/** Whether the node's ports are its own. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Config } from '../config.ts';
import { canConnect } from '../printers/subnet.ts';
import type { RunFile } from '../datadir.ts';
import { fail, type Finding, ok } from './finding.ts';

const anywhere = ['0.0.0.0', '::'];

/** With a node that runs: whether it listens. @param run where it says that it does */
export async function openPorts({ address }: Config, { ports }: RunFile): Promise<Finding> {
  const host = anywhere.includes(address) ? '127.0.0.1' : address;
  const deaf: string[] = [];
  for (const name of ['mesh', 'https', 'http'] as const) {
    const port = ports[name];
    if (port !== null && !await canConnect(host, port)) deaf.push(`TCP ${port} (${name})`);
  }
  const fix = 'restart the node, and see its log';
  if (deaf.length > 0) return fail('ports', `nobody answers at ${deaf.join(', ')} of ${host}`, fix);
  return ok('ports', `mesh ${ports.mesh}, submission ${ports.https}, release ${ports.release} answer`);
}

/** Without one: whether it could listen. */
export async function freePorts({ address, ports }: Config): Promise<Finding> {
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []).map(({ address }) => address);
  if (![...own, ...anywhere].includes(address)) {
    return fail(
      'ports',
      `${address} is no address of this machine`,
      'set address in the configuration to 0.0.0.0',
    );
  }
  const taken: string[] = [];
  for (const name of ['mesh', 'https', 'release', 'http'] as const) {
    const port = ports[name];
    if (port === null || port === 0) continue;
    const code = await bound(name === 'release' ? '127.0.0.1' : address, port);
    if (code === 'EADDRINUSE') {
      const message = `TCP port ${port} (${name}) is taken by another program`;
      return fail('ports', message, `${whoListens('tcp', port)} shows which; end it, or set ports.${name}`);
    }
    if (code !== undefined) taken.push(`TCP port ${port} (${name}): ${code}`);
  }
  const fix = 'choose ports from 1024 on in the configuration';
  return taken.length > 0 ? fail('ports', taken.join(', '), fix) : ok('ports', 'they are free');
}

/** Whether a TCP port can be listened at. @returns the error's code, undefined when it can */
export async function bound(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}

/** The command that tells which program listens at a port. */
export function whoListens(protocol: 'tcp' | 'udp', port: number): string {
  switch (process.platform) {
    case 'win32':
      return `netstat -abno | findstr :${port}`;
    case 'darwin':
      return `sudo lsof -i ${protocol}:${port}`;
    default:
      return `sudo ss -ln${protocol[0]}p sport = :${port}`;
  }
}
