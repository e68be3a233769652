/** A node's configuration file: JSON, every key optional, unknown keys refused. */
import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { check, integer, text } from '../mesh/codec.ts';
import { InkmeshError } from '../mesh/errors.ts';
import { deliverLimits, storageLimits } from './limits.ts';
import { snmpSettings } from './printers/snmp-settings.ts';

const port = integer(0, 65535);
const host = text(253);

/** where nodes take documents over HTTPS/IPPS unless they are told otherwise */
export const submissionPort = 9265;

const configSchema = v.strictObject({
  /** the interface that clients and other nodes reach: an IP address */
  address: v.optional(host, '0.0.0.0'),
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
  peers: v.optional(v.pipe(v.array(text(256)), v.maxLength(256)), []),
  /** the URL of the organisation's cloud node, `https://HOST` */
  cloud: v.optional(text(253)),
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

/** The configuration in a file, or the defaults when no file is given. @throws InkmeshError `bad-request` */
export async function readConfig(file: string | undefined): Promise<Config> {
  return await readSettings(configSchema, file);
}

/** The settings in a JSON file, or the defaults when no file is given. @throws InkmeshError `bad-request` */
export async function readSettings<S extends v.GenericSchema>(
  schema: S,
  file: string | undefined,
): Promise<v.InferOutput<S>> {
  if (file === undefined) return check(schema, {});
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new InkmeshError('bad-request', `the configuration ${file} cannot be read: ${reason}`, {}, {
      cause,
    });
  }
  try {
    return check(schema, value);
  } catch (error) {
    throw error instanceof InkmeshError
      ? new InkmeshError('bad-request', `${file}: ${error.message}`)
      : error;
  }
}
