/** Tools of the machine that a test talks to, and what a file does when one is not there. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';

const packages: Readonly<Record<string, string>> = {
  'avahi-browse': 'avahi-utils',
  'avahi-publish': 'avahi-utils',
  'avahi-daemon': 'avahi-daemon',
  awk: 'mawk',
  certutil: 'libnss3-tools',
  chromium: 'chromium',
  cupsd: 'cups',
  curl: 'curl',
  'dbus-daemon': 'dbus',
  gs: 'ghostscript',
  ip: 'iproute2',
  ippeveprinter: 'cups-ipp-utils',
  ippfind: 'cups-ipp-utils',
  ipptool: 'cups-ipp-utils',
  lp: 'cups-client',
  lpadmin: 'cups-client',
  lpstat: 'cups-client',
  mount: 'mount',
  nft: 'nftables',
  nginx: 'nginx-light',
  nsenter: 'util-linux',
  openssl: 'openssl',
  pdftoppm: 'poppler-utils',
  pdftotext: 'poppler-utils',
  ps: 'procps',
  python3: 'python3',
  setpriv: 'util-linux',
  snmpd: 'snmpd',
  squid: 'squid',
  snmptrap: 'snmp',
  ss: 'iproute2',
  strace: 'strace',
  'systemd-analyze': 'systemd',
  'systemd-nspawn': 'systemd-container',
  tc: 'iproute2',
  unshare: 'util-linux',
};

/** Daemons live where the PATH of an ordinary user does not lead. */
const systemFolders = ['/usr/sbin', '/sbin'];

const skipped = new Set<string>();

/** The Debian packages that this process has found missing so far: the test runner reports them. */
export function missingPackages(): string[] {
  return [...skipped].sort();
}

/**
 * Whether every one of `tools` can be run. When one cannot, prints `skipped: install PACKAGE...` and returns
 * false, so that the caller leaves out the tests that need it.
 * @throws Error when CI is `true`: there a missing tool is a failure
 * @throws RangeError for a tool that the table above does not know
 */
export function requireTools(tools: string[]): boolean {
  const missing = new Set<string>();
  for (const tool of tools) {
    const name = packages[tool];
    if (name === undefined) throw new RangeError(`no package is known for ${tool}: add it to require.ts`);
    if (toolPath(tool) === undefined) missing.add(name);
  }
  if (missing.size === 0) return true;
  const names = [...missing].sort().join(' ');
  if (process.env['CI'] === 'true') throw new Error(`tools are missing: install ${names}`);
  for (const name of missing) skipped.add(name);
  console.log(`skipped: install ${names}`);
  return false;
}

/** The full path of an executable in PATH or a system folder. */
export function toolPath(tool: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...systemFolders];
  return folders.filter((folder) => folder !== '').map((folder) => join(folder, tool)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
