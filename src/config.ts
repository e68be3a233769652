/**
 * A node's settings: of a file, over it the environment, over that the command line. Every key is optional, unknown ones
 * are refused.
 */
import { existsSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import * as v from 'valibot';
import { meshAddress } from '../mesh/address.ts';
import { integer, text } from '../mesh/codec.ts';
import { InkmeshError } from '../mesh/errors.ts';
import { files, writePrivate } from './datadir.ts';
import { deliverLimits, storageLimits } from './limits.ts';
import { snmpSettings } from './printers/snmp-settings.ts';
import { type ConfigSources, explainSettings, readSettings, saidSettings, type Setting } from './settings.ts';

const port = integer(0, 65535);

/** HOST:PORT, URL or multiaddr of a node. */
export const nodeAddress = v.pipe(
  text(256),
  v.check(isMeshAddress, 'expected HOST:PORT, https://HOST or a multiaddr'),
);

function isMeshAddress(value: string): boolean {
  try {
    meshAddress(value);
    return true;
  } catch {
    return false;
  }
}

/** where nodes take documents over HTTPS/IPPS unless they are told otherwise */
export const submissionPort = 9265;

const configSchema = v.strictObject({
  /** the interface that clients and other nodes reach: an IPv4 address */
  address: v.optional(v.pipe(text(15), v.check(isIPv4, 'expected an IPv4 address')), '0.0.0.0'),
  ports: v.optional(
    v.strictObject({
      /** submission over plain HTTP/IPP; off unless given */
      http: v.optional(v.nullable(port), null),
      mesh: v.optional(port, 9264),
      /** submission over HTTPS/IPPS */
      https: v.optional(port, submissionPort),
      /** the release API, for this machine's own commands */
      release: v.optional(port, 9266),
    }),
    {},
  ),
  /** HOST:PORT or multiaddrs of other nodes, for where mDNS does not reach */
  peers: v.optional(v.pipe(v.array(nodeAddress), v.maxLength(256)), []),
  /** the URL of the organisation's cloud node, `https://HOST` */
  cloud: v.optional(nodeAddress),
  mdns: v.optional(v.boolean(), true),
  /** octets of the disk that documents may take together, and that are to stay free on it */
  storage: v.optional(
    v.strictObject({
      quota_bytes: v.optional(integer(0, Number.MAX_SAFE_INTEGER), storageLimits.quota_bytes),
      reserve_bytes: v.optional(integer(0, Number.MAX_SAFE_INTEGER), storageLimits.reserve_bytes),
    }),
    {},
  ),
  /** how printers are asked how they are; null: not by SNMP */
  snmp: v.optional(v.nullable(snmpSettings), {}),
  /** how long a printer that has no paper, a jam or an open door is waited for, seconds */
  printerWait_s: v.optional(integer(0, 86_400), deliverLimits.wait_ms / 1000),
  /** whether jobs may be released to this machine's own print queues, which keep them unencrypted */
  systemQueues: v.optional(v.boolean(), false),
  /** how long a stopping node finishes what is in flight, seconds */
  drain_s: v.optional(integer(0, 3600), 30),
});
export type Config = v.InferOutput<typeof configSchema>;

const secrets: readonly string[] = ['snmp.community', 'snmp.authKey', 'snmp.privKey'];

/** @throws InkmeshError `bad-request` naming the lines, variables or flags that are wrong */
export function readConfig(sources: ConfigSources): Promise<Config> {
  return readSettings(configSchema, sources, secrets);
}

/** Every setting in force, with its origin; secrets are not shown. @throws InkmeshError `bad-request` */
export function explainConfig(sources: ConfigSources): Promise<Setting[]> {
  return explainSettings(configSchema, sources, secrets);
}

/**
 * Puts what the environment and `set` say into the configuration file of a data directory, where a service finds it.
 * @returns whether the file did not say so already
 * @throws InkmeshError `bad-request`; `conflict` when that file is TOML
 */
export async function keepSettings(dir: string, set: readonly string[]): Promise<boolean> {
  const file = ownConfig(dir);
  const { said, inFile } = await saidSettings(configSchema, { file, set }, secrets);
  if (inFile) return false;
  if (file === files.tomlConfig(dir)) {
    throw new InkmeshError('conflict', `${file}: write into it what --set and INKMESH_SET_ variables say`);
  }
  await writePrivate(files.config(dir), said);
  return true;
}

/** The configuration file of a data directory, when it has one. @throws InkmeshError `bad-request` when it has two */
export function ownConfig(dir: string): string | undefined {
  const own = [files.config(dir), files.tomlConfig(dir)].filter((file) => existsSync(file));
  if (own.length > 1) {
    throw new InkmeshError('bad-request', `${own.join(' and ')}: only one of them can count`);
  }
  return own[0];
}
