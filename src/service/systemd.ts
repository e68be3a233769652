/** The service of Linux: a systemd unit with an account of its own, shut in as far as V8 allows. */
import type { Line, Service } from './service.ts';

const account = 'inkmesh';
const unit = 'inkmesh.service';
const dataDir = '/var/lib/inkmesh';

export const systemd: Service = {
  program: '/usr/local/bin/inkmesh',
  dir: dataDir,
  definition: `/etc/systemd/system/${unit}`,
  define,
  account: ['getent', 'passwd', account],
  addAccount: [
    [
      'useradd',
      '--system',
      '--home-dir',
      dataDir,
      '--no-create-home',
      '--shell',
      '/usr/sbin/nologin',
      account,
    ],
  ],
  removeAccount: [['userdel', account]],
  own: (dir) => [['chown', '-R', `${account}:${account}`, dir]],
  isActive: ['systemctl', 'is-active', '--quiet', unit],
  start: [['systemctl', 'daemon-reload'], ['systemctl', 'enable', '--quiet', unit], [
    'systemctl',
    'restart',
    unit,
  ]],
  stop: [['systemctl', 'disable', '--quiet', '--now', unit]],
  forgotten: [['systemctl', 'daemon-reload']],
};

/** systemd.service(5), systemd.exec(5). No MemoryDenyWriteExecute: V8 compiles while it runs. */
function define(command: Line, dir: string): string {
  return `[Unit]
Description=inkmesh edge node: secure print release without a print server
Wants=network-online.target
After=network-online.target time-sync.target
StartLimitIntervalSec=0

[Service]
Type=exec
User=${account}
Group=${account}
ExecStart=${[...command, 'node', '--dir', dir].map(quoted).join(' ')}
Restart=always
RestartSec=5
# longer than drain_s: what is in flight is finished
TimeoutStopSec=60
StandardOutput=journal
StandardError=journal

# of glibc: threads share what is free, of which a node has little use at a time
Environment=MALLOC_ARENA_MAX=2
MemoryHigh=384M
MemoryMax=512M
TasksMax=128
LimitNOFILE=16384
LimitCORE=0
UMask=0077

ReadWritePaths=${quoted(dir)}
ProtectSystem=strict
ProtectHome=true
PrivateTmp=true
PrivateDevices=true
ProtectProc=invisible
ProtectClock=true
ProtectControlGroups=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
NoNewPrivileges=true
# port 162, where SNMP traps are heard
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
LockPersonality=true
RemoveIPC=true
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
# what a program that it starts asks in vain must not end it
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`;
}

/** A word of a unit file: systemd.syntax(7), and `%` as in specifiers. */
function quoted(word: string): string {
  const plain = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@%+=:,./$-]+$/.test(plain) ? plain : `"${plain.replaceAll(/["\\]/g, '\\$&')}"`;
}
