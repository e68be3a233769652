/** A real snmpd on 127.0.0.1 whose printer is as a test says: its objects are read from a file at each request. */
import { chmodSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { freePort } from '../../src/cli/children.ts';
import { spawnKept, stop, tempDir, waitFor } from './processes.ts';
import { toolPath } from './require.ts';

const start_ms = 20_000;

/** of its SNMPv3 user */
export const snmpUser = { user: 'inkmesh', authKey: 'a-key-for-auth', privKey: 'a-key-for-priv' } as const;
export const snmpCommunity = 'clinic';

/** Types as snmpd's `pass_persist` calls them; `octet` in hexadecimal. */
export type MibValue = readonly ['integer' | 'counter' | 'string' | 'octet' | 'objectid', string | number];

/** Objects by their OID. */
export type Mib = Readonly<Record<string, MibValue>>;

export interface Snmpd {
  readonly port: number;
  /** The objects from now on. */
  set(mib: Mib): void;
  stop(): Promise<void>;
}

const bit = (number: number) => (0x8000 >> number).toString(16).padStart(4, '0').replace(/(..)(..)/, '$1 $2');

/** What a test may say of the printer. */
export interface Told {
  /** hrPrinterStatus: 1 other, 3 idle, 4 printing, 5 warmup */
  printer?: number;
  /** hrDeviceStatus: 2 running, 3 warning, 5 down */
  device?: number;
  /** a bit of hrPrinterDetectedErrorState, 0 first */
  error?: number;
  /** severity, group, code and description of prtAlert rows */
  alerts?: readonly (readonly [number, number, number, string])[];
  serial?: string;
}

/** The objects of a printer. */
export function printerMib({ printer = 3, device = 2, error, alerts = [], serial = 'SN-4711' }: Told): Mib {
  const rows = alerts.flatMap(([severity, group, code, description], i): [string, MibValue][] => [
    [`1.3.6.1.2.1.43.18.1.1.2.1.${i + 1}`, ['integer', severity]],
    [`1.3.6.1.2.1.43.18.1.1.4.1.${i + 1}`, ['integer', group]],
    [`1.3.6.1.2.1.43.18.1.1.7.1.${i + 1}`, ['integer', code]],
    [`1.3.6.1.2.1.43.18.1.1.8.1.${i + 1}`, ['string', description]],
  ]);
  return {
    '1.3.6.1.2.1.25.3.2.1.3.1': ['string', 'Example LaserPrinter 9'],
    '1.3.6.1.2.1.25.3.2.1.5.1': ['integer', device],
    '1.3.6.1.2.1.25.3.5.1.1.1': ['integer', printer],
    '1.3.6.1.2.1.25.3.5.1.2.1': ['octet', error === undefined ? '00 00' : bit(error)],
    '1.3.6.1.2.1.43.5.1.1.17.1': ['string', serial],
    '1.3.6.1.2.1.43.10.2.1.4.1.1': ['counter', 12345],
    '1.3.6.1.2.1.43.11.1.1.4.1.1': ['integer', 3],
    '1.3.6.1.2.1.43.11.1.1.4.1.2': ['integer', 4],
    '1.3.6.1.2.1.43.11.1.1.6.1.1': ['string', 'Black Cartridge'],
    '1.3.6.1.2.1.43.11.1.1.6.1.2': ['string', 'Waste Box'],
    '1.3.6.1.2.1.43.11.1.1.8.1.1': ['integer', 2000],
    '1.3.6.1.2.1.43.11.1.1.8.1.2': ['integer', -2],
    '1.3.6.1.2.1.43.11.1.1.9.1.1': ['integer', 500],
    '1.3.6.1.2.1.43.11.1.1.9.1.2': ['integer', -3],
    ...Object.fromEntries(rows),
  };
}

/** One request of snmpd: its lines come by standard input, `oid`, type and value go out (snmpd.conf, pass_persist). */
const script = `while read command; do
  case "$command" in
    PING) echo PONG ;;
    get|getnext) read oid; awk -F '|' -v command="$command" -v asked="$oid" -f "$1" "$2" ;;
    *) echo not-writable ;;
  esac
done
`;

/** The file is in the order of its OIDs. */
const lookup = `function compare(a, b,   x, y, n, m, i) {
  n = split(a, x, "."); m = split(b, y, ".")
  for (i = 1; i <= n && i <= m; i++) if (x[i] + 0 != y[i] + 0) return x[i] + 0 < y[i] + 0 ? -1 : 1
  return n < m ? -1 : n > m
}
BEGIN { sub(/^\\./, "", asked) }
{ order = compare(asked, $1) }
command == "get" && order == 0 || command == "getnext" && order < 0 { print "." $1; print $2; print $3; found = 1; exit }
END { if (!found) print "NONE" }
`;

export interface SnmpdOptions {
  /** any free one unless told */
  port?: number;
  /** 127.0.0.1 unless told */
  address?: string;
  /** `snmpCommunity` unless told */
  community?: string;
  /** how it is run on another machine */
  inside?: (...command: string[]) => readonly [string, ...string[]];
}

export async function startSnmpd(mib: Mib = printerMib({}), options: SnmpdOptions = {}): Promise<Snmpd> {
  const dir = tempDir();
  chmodSync(dir, 0o755);
  const at = options.port ?? await freePort();
  const file = (name: string) => join(dir, name);
  const set = (objects: Mib) => {
    const lines = Object.entries(objects).sort(([a], [b]) => byOid(a, b)).map(([oid, [type, value]]) =>
      `${oid}|${type}|${value}\n`
    );
    // whole at each moment
    writeFileSync(file('next'), lines.join(''));
    renameSync(file('next'), file('mib'));
  };
  set(mib);
  writeFileSync(file('script'), script);
  writeFileSync(file('lookup'), lookup);
  const { user, authKey, privKey } = snmpUser;
  const pass = `/bin/sh ${file('script')} ${file('lookup')} ${file('mib')}`;
  const configuration = [
    `agentaddress udp:${options.address ?? '127.0.0.1'}:${at}`,
    `rocommunity ${options.community ?? snmpCommunity}`,
    `createUser ${user} SHA "${authKey}" AES "${privKey}"`,
    `rouser ${user} priv`,
    ...['1.3.6.1.2.1.25.3', '1.3.6.1.2.1.43'].map((subtree) => `pass_persist -p 1 .${subtree} ${pass}`),
  ];
  writeFileSync(file('snmpd.conf'), configuration.join('\n') + '\n');
  const flags = [
    '-f',
    '-Le',
    '-C',
    '-c',
    file('snmpd.conf'),
    '-p',
    file('pid'),
    '-I',
    '-hr_print,hr_device',
  ];
  const env = { ...process.env, SNMP_PERSISTENT_DIR: dir, MIBS: '' };
  const inside = options.inside ?? ((...command) => command);
  const [program, ...args] = inside(toolPath('snmpd') ?? 'snmpd', ...flags);
  const daemon = spawnKept(program, args, { env });
  await waitFor(() => {
    if (daemon.exit() !== undefined) throw new Error(`snmpd has ended: ${daemon.stderr()}`);
    return daemon.stderr().includes('NET-SNMP version') || undefined;
  }, { deadline_ms: start_ms, what: 'snmpd to start' });
  return {
    port: at,
    set,
    stop: async () => {
      await stop(daemon);
    },
  };
}

function byOid(a: string, b: string): number {
  const [left, right] = [a, b].map((oid) => oid.split('.').map(Number));
  const at = left?.findIndex((number, i) => number !== right?.[i]) ?? -1;
  return at < 0 ? (left?.length ?? 0) - (right?.length ?? 0) : (left?.[at] ?? 0) - (right?.[at] ?? -1);
}
