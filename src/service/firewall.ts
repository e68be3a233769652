/** The firewall rules that a node needs, and the commands that add and remove them. */
import { existsSync } from 'node:fs';
import type { Config } from '../config.ts';
import type { Line } from './service.ts';

export interface Opening {
  protocol: 'tcp' | 'udp';
  port: number;
  what: string;
}

export interface Firewall {
  /** as people call it */
  readonly name: string;
  /** after `remove` */
  add(opening: Opening): readonly Line[];
  /** may fail where there is none */
  remove(opening: Opening): readonly Line[];
}

/** What others must be able to connect to. */
export function openings({ ports, mdns }: Pick<Config, 'ports' | 'mdns'>): Opening[] {
  return [
    { protocol: 'tcp', port: ports.mesh, what: 'mesh' },
    { protocol: 'tcp', port: ports.https, what: 'submission' },
    { protocol: 'tcp', port: ports.release, what: 'release' },
    ...ports.http === null ? [] : [{ protocol: 'tcp', port: ports.http, what: 'plain submission' } as const],
    ...mdns ? [{ protocol: 'udp', port: 5353, what: 'mDNS' } as const] : [],
  ];
}

const netsh: Firewall = {
  name: 'Windows Defender Firewall',
  add: ({ protocol, port, what }) => [[
    ...['netsh', 'advfirewall', 'firewall', 'add', 'rule', `name=inkmesh ${what}`] as const,
    ...['dir=in', 'action=allow', `protocol=${protocol.toUpperCase()}`, `localport=${port}`],
  ]],
  remove: ({ what }) => [['netsh', 'advfirewall', 'firewall', 'delete', 'rule', `name=inkmesh ${what}`]],
};

const ufw: Firewall = {
  name: 'ufw',
  add: ({ protocol, port, what }) => [['ufw', 'allow', `${port}/${protocol}`, 'comment', `inkmesh ${what}`]],
  remove: ({ protocol, port }) => [['ufw', 'delete', 'allow', `${port}/${protocol}`]],
};

const firewalld: Firewall = {
  name: 'firewalld',
  add: (opening) => changes('--add-port', opening),
  remove: (opening) => changes('--remove-port', opening),
};

function changes(flag: string, { protocol, port }: Opening): Line[] {
  const change = `${flag}=${port}/${protocol}`;
  return [['firewall-cmd', '--quiet', change], ['firewall-cmd', '--quiet', '--permanent', change]];
}

const socketfilterfw = '/usr/libexec/ApplicationFirewall/socketfilterfw';

/** It goes by program, not by port. */
const applicationFirewall = (program: string): Firewall => ({
  name: 'the application firewall of macOS',
  add: () => [[socketfilterfw, '--add', program], [socketfilterfw, '--unblockapp', program]],
  remove: () => [[socketfilterfw, '--remove', program]],
});

/** The firewall of this machine that can be told; undefined where there is none that is known. @param program the binary */
export function firewall(
  program: string,
  platform: NodeJS.Platform = process.platform,
): Firewall | undefined {
  if (platform === 'win32') return netsh;
  if (platform === 'darwin') return applicationFirewall(program);
  const has = (tool: string) =>
    ['/usr/sbin', '/usr/bin', '/sbin'].some((folder) => existsSync(`${folder}/${tool}`));
  return has('firewall-cmd') ? firewalld : has('ufw') ? ufw : undefined;
}

/** What opens the ports, for people. */
export function firewallAdvice(): string {
  return 'inkmesh install --firewall; else allow TCP 9264 to this machine in its firewall and between the networks';
}
