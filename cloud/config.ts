/** A cloud node's settings, from where a node's come from: every key is optional, unknown ones are refused. */
import { isIP } from 'node:net';
import * as v from 'valibot';
import { integer, text } from '../mesh/codec.ts';
import { InkmeshError } from '../mesh/errors.ts';
import { nodeAddress } from '../src/config.ts';
import { type ConfigSources, explainSettings, readSettings, type Setting } from '../src/settings.ts';

/** An IP address, or a network: `10.0.0.0/8`. */
const network = v.pipe(
  text(64),
  v.check((value) => {
    const [address = '', bits, more] = value.split('/');
    const most = isIP(address) === 4 ? 32 : 128;
    return isIP(address) !== 0 && more === undefined &&
      (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most));
  }, 'expected an IP address, or a network like 10.0.0.0/8'),
);

const configSchema = v.strictObject({
  /** where it listens: ADDRESS:PORT */
  listen: v.optional(text(64), '0.0.0.0:443'),
  /** what browsers and nodes reach it at; else the addresses of this machine */
  url: v.optional(v.pipe(
    text(253),
    v.check(
      (url) => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol) && new URL(url).pathname === '/',
      'expected https://HOST or https://HOST:PORT',
    ),
  )),
  /**
   * `organisation`: a certificate of the organisation's own issuer; `none`: plain HTTP, behind a proxy that does TLS; or
   * files in PEM, which are read again when they change
   */
  tls: v.optional(
    v.union([
      v.picklist(['organisation', 'none']),
      v.strictObject({ key: text(1024), certificate: text(1024) }),
    ]),
    'organisation',
  ),
  /** of which `X-Forwarded-For` is believed */
  trustedProxies: v.optional(v.pipe(v.array(network), v.maxLength(64)), []),
  /** what `/metrics` is asked with, as `Authorization: Bearer …`; without it there is none */
  metricsToken: v.optional(v.pipe(text(256), v.minLength(16))),
  /** HOST:PORT or multiaddrs of other nodes, where these can be reached from here */
  peers: v.optional(v.pipe(v.array(nodeAddress), v.maxLength(256)), []),
  /** how long a stopping node finishes what is in flight, seconds */
  drain_s: v.optional(integer(0, 3600), 30),
});
/** dotted keys that are not shown */
const secrets = ['metricsToken'];
export type CloudConfig = v.InferOutput<typeof configSchema>;

/** @throws InkmeshError `bad-request` naming the lines, variables or flags that are wrong */
export async function readCloudConfig(sources: ConfigSources): Promise<CloudConfig> {
  return await readSettings(configSchema, sources, secrets);
}

/** The same, each with its origin. @throws InkmeshError `bad-request` */
export async function explainCloudConfig(sources: ConfigSources): Promise<Setting[]> {
  return await explainSettings(configSchema, sources, secrets);
}

/** @throws InkmeshError `bad-request` */
export function listenAddress(listen: string): { address: string; port: number } {
  const [, v6, v4, port] = /^(?:\[([0-9a-f:.]+)\]|([\d.]+)):(\d{1,5})$/i.exec(listen) ?? [];
  const address = v6 ?? v4 ?? '';
  if (isIP(address) === 0 || Number(port) > 65535) {
    throw new InkmeshError('bad-request', `"${listen}" is no place to listen: use ADDRESS:PORT`);
  }
  return { address, port: Number(port) };
}
