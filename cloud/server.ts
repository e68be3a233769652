/**
 * The composition root of a cloud node: a relay with a public address, on whose one port there are the release pages, the
 * directory, the operators' page and the mesh over WebSocket. It keeps facts, and neither documents nor anybody's key.
 */
import { rm } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import {
  createTransport,
  type Log,
  type Mesh,
  meshAddress,
  openMesh,
  SocketDoor,
  verifyRenewable,
} from '../mesh/mod.ts';
import { InkmeshError } from '../mesh/errors.ts';
import { systemClock } from '../src/clock.ts';
import { readNode, type RunFile, writeRun } from '../src/datadir.ts';
import { directoryKinds } from '../src/directory.ts';
import { askLapsed, keeperOf, renewedAtStart } from '../src/standing.ts';
import { State } from '../src/state.ts';
import { warningsOf } from '../src/warnings.ts';
import { cloudApp } from './app.ts';
import { Bounds } from './bounds.ts';
import { certificateOf } from './certificate.ts';
import { type CloudConfig, listenAddress } from './config.ts';
import { CloudDb } from './db.ts';
import { drain } from './drain.ts';
import { measuresOf } from './measures.ts';
import { noSpool } from './no-spool.ts';
import { closePorts, openPorts, type Ports } from './ports.ts';
import { clientAddress } from './proxy.ts';
import { Watch } from './watch.ts';

export interface CloudNode {
  readonly run: RunFile;
  readonly mesh: Mesh;
  /** what browsers and nodes reach it at */
  readonly url: string;
  /** Finishes what is in flight within `drain_s`, then closes everything. */
  stop(): Promise<void>;
}

/** @throws InkmeshError `conflict` for the directory of a node that is no cloud node */
export async function startCloud(dir: string, config: CloudConfig, log: Log): Promise<CloudNode> {
  const found = await readNode(dir, verifyRenewable);
  if (!found.identity.roles.includes('cloud')) {
    throw new InkmeshError(
      'conflict',
      `${dir} is no cloud node’s: inkmesh invite node --site cloud --role cloud, and join with that token`,
    );
  }
  const place = listenAddress(config.listen);
  const urls = config.url === undefined ? ownUrls(config, place) : [new URL(config.url).origin];
  const door = new SocketDoor(urls.map(meshAddress));
  const state = new State(dir);
  const db = new CloudDb(dir);
  const { addresses } = state;
  const peers = [...config.peers, ...found.registrars];
  const secrets = await renewedAtStart(dir, { secrets: found, peers, addresses });
  const certificate = await certificateOf(config.tls, secrets.tls, log);
  const mesh = await openMesh({
    ...secrets,
    transport: await createTransport({
      ...{ key: secrets.hostKey, organisation: secrets.trust.fingerprint, clock: systemClock },
      ...{ listen: [], mdns: false, relay: true, door },
    }),
    ...{ peers, storage: state, spool: noSpool, clock: systemClock, log, kinds: directoryKinds },
    authority: undefined,
    keeper: keeperOf(dir, (tls) => certificate.renew(tls)),
    askLapsed: () => askLapsed({ secrets, peers, addresses }),
  });
  const watch = new Watch({ mesh, db, log });
  const running = { ready: true };
  const fetch = cloudApp({
    ...{ mesh, trust: secrets.trust, sealKey: secrets.sealKey, state, db, log },
    metricsToken: config.metricsToken,
    measures: measuresOf({ mesh, door, watch }),
    relayed: () => watch.relayed(),
    isReady: () => running.ready,
    status: () => statusOf(mesh, watch, door),
  });
  const address = clientAddress(config.trustedProxies);
  const bounds = new Bounds(address);
  const servers = await openPorts(place, {
    ...{ fetch, door, address, bounds, own: secrets.tls, tls: certificate.keys },
  });
  certificate.serve = (tls) => servers.public.renew(tls);
  certificate.serveOwn = (tls) => servers.own.renew(tls);
  const run = runFile(mesh, servers);
  await writeRun(dir, run);
  const stop = async () => {
    log('info', 'finishing what is in flight', {});
    certificate.close();
    await drain({ mesh, door, bounds, unready: () => running.ready = false }, config.drain_s * 1000);
    closePorts(servers);
    watch.close();
    await mesh.close();
    state.close();
    db.close();
    await rm(`${dir}/run.json`, { force: true });
  };
  return { run, mesh, url: urls[0] ?? '', stop };
}

/** A machine that nobody has given a name is reached at its addresses. */
function ownUrls({ tls }: CloudConfig, { address, port }: { address: string; port: number }): string[] {
  if (port === 0) {
    throw new InkmeshError('bad-request', 'with port 0 a cloud node needs its url in the configuration');
  }
  const scheme = tls === 'none' ? 'http' : 'https';
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
    .filter(({ internal, family }) => !internal && family === 'IPv4').map((own) => own.address);
  const hosts = address === '0.0.0.0' || address === '::' ? all : [address];
  return hosts.slice(0, 4).map((host) => `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`);
}

function runFile(mesh: Mesh, { public: first, own }: Ports): RunFile {
  return {
    ...{ pid: process.pid, peer: mesh.self.peerId },
    ports: { http: null, mesh: first.port, https: first.port, release: own.port },
  };
}

function statusOf(mesh: Mesh, watch: Watch, door: SocketDoor): object {
  const { name, site, peerId, roles, notAfter } = mesh.self;
  return {
    ...{ node: name, site, peer: peerId, roles, addresses: mesh.addresses(), supers: [], damaged: [] },
    members: mesh.members().map(({ identity }) => ({ name: identity.name, site: identity.site })),
    // it keeps no documents
    holding: { jobs: 0, bytes: 0 },
    storage: { used_bytes: 0, quota_bytes: 0, free_bytes: 0 },
    relayed_bytes: Object.fromEntries(watch.relayed()),
    websockets: door.counts,
    certificate_expires: new Date(notAfter).toISOString(),
    warnings: warningsOf(mesh),
  };
}
