/** Looks at everything that the cloud node on this machine needs, and says what is wrong and what mends it. */
import { X509Certificate } from 'node:crypto';
import { statfs } from 'node:fs/promises';
import { request } from 'node:https';
import { rootCertificates } from 'node:tls';
import { asInkmeshError } from '../mesh/errors.ts';
import { toPem } from '../mesh/mod.ts';
import type { Health } from '../src/api/health.ts';
import { type NodeSecrets, readRun } from '../src/datadir.ts';
import { checks, fail, type Finding, ok, warn } from '../src/doctor/finding.ts';
import { identity } from '../src/doctor/machine.ts';
import { askHealth, clock } from '../src/doctor/mesh.ts';
import { bound, whoListens } from '../src/doctor/ports.ts';
import { canConnect } from '../src/printers/subnet.ts';
import type { ConfigSources } from '../src/settings.ts';
import { readKeys, refuseMismatch } from './certificate.ts';
import { type CloudConfig, listenAddress, readCloudConfig } from './config.ts';

const patience_ms = 10_000;
const day_ms = 24 * 3600_000;
/** before the end of a certificate that somebody else renews */
const endsSoon_ms = 14 * day_ms;
const tightBytes = 1024 ** 3;
const fullBytes = tightBytes / 10;

/**
 * @param dir data directory of a cloud node
 * @returns one finding for each thing that could be looked at, in the order of `checks`
 */
export async function examineCloud(dir: string, sources: () => ConfigSources): Promise<Finding[]> {
  const { secrets, findings } = await identity(dir);
  const { settings, finding } = await configuration(dir, sources);
  const found = [finding, ...findings, await disk(dir)];
  if (settings !== undefined) {
    const { config, place } = settings;
    found.push(await tls(config), ...await running(dir, place, secrets), await url(config, secrets));
  }
  return found.sort((a, b) => checks.indexOf(a.check) - checks.indexOf(b.check));
}

interface Place {
  address: string;
  port: number;
}

async function configuration(
  dir: string,
  sources: () => ConfigSources,
): Promise<{ settings?: { config: CloudConfig; place: Place }; finding: Finding }> {
  try {
    const given = sources();
    const config = await readCloudConfig(given);
    const settings = { config, place: listenAddress(config.listen) };
    return { settings, finding: ok('configuration', given.file ?? 'defaults') };
  } catch (thrown) {
    const fix = `mend what is named; inkmesh config show --dir ${dir} tells when it is right`;
    return { finding: fail('configuration', asInkmeshError(thrown).message, fix) };
  }
}

async function running(
  dir: string,
  place: Place,
  secrets: NodeSecrets | undefined,
): Promise<Finding[]> {
  const fix = `inkmesh cloud --dir ${dir}`;
  const run = await readRun(dir).catch(() => undefined);
  if (run === undefined || secrets === undefined) {
    return [fail('service', `no cloud node runs in ${dir}`, fix), await free(place)];
  }
  try {
    const health = await askHealth(run, secrets);
    return [
      ok('service', `it runs as process ${run.pid}`),
      ...health.warnings.map((warning) => warn('service', warning, `inkmesh status --dir ${dir}`)),
      await listens(place.address, run.ports.https),
      registrar(health),
      clock(health),
    ];
  } catch (thrown) {
    const { message } = asInkmeshError(thrown);
    return [fail('service', `the cloud node in ${dir} has died: ${message}`, fix), await free(place)];
  }
}

async function listens(address: string, port: number): Promise<Finding> {
  const host = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
  return await canConnect(host, port)
    ? ok('ports', `TCP ${port} answers`)
    : fail('ports', `nobody answers at TCP ${port} of ${host}`, 'restart the cloud node, and see its log');
}

async function free({ address, port }: Place): Promise<Finding> {
  const code = port === 0 ? undefined : await bound(address, port);
  if (code === undefined) return ok('ports', `TCP ${port} is free`);
  if (code === 'EADDRINUSE') {
    const fix = `${whoListens('tcp', port)} shows which; end it, or set listen`;
    return fail('ports', `TCP ${port} is taken by another program`, fix);
  }
  return fail(
    'ports',
    `it cannot listen at ${address} on TCP ${port}: ${code}`,
    'set listen to what this machine has',
  );
}

/** The certificate that the world sees. */
async function tls({ tls }: CloudConfig): Promise<Finding> {
  if (tls === 'none') return ok('tls', 'plain HTTP: a reverse proxy in front of it has the certificate');
  if (tls === 'organisation') return ok('tls', 'a certificate of the organisation, renewed before it ends');
  const fix = `renew ${tls.certificate}: it is read again when it has changed`;
  try {
    const keys = await readKeys(tls);
    refuseMismatch(keys);
    const ends_ms = new Date(new X509Certificate(keys.cert).validTo).getTime();
    const ends = new Date(ends_ms).toISOString().slice(0, 10);
    if (ends_ms < Date.now()) return fail('tls', `${tls.certificate} ended on ${ends}`, fix);
    if (ends_ms < Date.now() + endsSoon_ms) return warn('tls', `${tls.certificate} ends on ${ends}`, fix);
    return ok('tls', `${tls.certificate} is valid until ${ends}`);
  } catch (thrown) {
    return fail('tls', asInkmeshError(thrown).message, 'set tls to files that the cloud node may read');
  }
}

/** Whether it answers at the URL that browsers and nodes are told. */
async function url({ url }: CloudConfig, secrets: NodeSecrets | undefined): Promise<Finding> {
  if (url === undefined) {
    return warn('url', 'none is configured: it is told of by its addresses', 'set url to https://HOST');
  }
  const root = secrets === undefined ? [] : [toPem('CERTIFICATE', secrets.trust.root)];
  const said = await new Promise<string>((resolve) => {
    const asked = request(new URL('/readyz', url), {
      ...{ ca: [...root, ...rootCertificates], timeout: patience_ms },
    }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200 ? '' : `it answers with status ${answer.statusCode}`);
    });
    asked.once('timeout', () => asked.destroy(new Error('it does not answer')));
    asked.once('error', ({ message }) => resolve(message)).end();
  });
  if (said === '') return ok('url', `${url} answers`);
  const fix =
    'see its DNS name, the reverse proxy and what forwards its port; some networks let nobody in from inside';
  return warn('url', `${url}, asked from this machine: ${said}`, fix);
}

function registrar({ registrars }: Health): Finding {
  if (registrars.length > 0) return ok('registrar', `${registrars.join(', ')} connected`);
  const fix = 'start a registrar whose configuration names this cloud node as `cloud`';
  return warn('registrar', 'none is connected: nobody can enrol here or decide anything', fix);
}

/** It keeps facts and a trail, and no documents. */
async function disk(dir: string): Promise<Finding> {
  const volume = await statfs(dir);
  const bytes = volume.bavail * volume.bsize;
  const room = `${(bytes / tightBytes).toFixed(1)} GiB are free`;
  const fix = `free some space on the volume of ${dir}`;
  if (bytes < fullBytes) return fail('disk', `what is decided cannot be kept for long: ${room}`, fix);
  return bytes < tightBytes ? warn('disk', `it gets tight: ${room}`, fix) : ok('disk', room);
}
