/** The composition root of an edge node: builds its parts, starts them, and stops them in order. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  cancelProof,
  createTransport,
  type Log,
  maxDocumentBytes,
  type Mesh,
  openMesh,
  tokenHash,
  verifyRenewable,
} from '../mesh/mod.ts';
import { InkmeshError } from '../mesh/errors.ts';
import { adminRoutes } from './api/admin.ts';
import { systemClock } from './clock.ts';
import { createApi } from './api/app.ts';
import { jobRoutes } from './api/jobs.ts';
import { siteRoutes } from './api/sites.ts';
import { standingRoutes } from './api/standing.ts';
import type { Config } from './config.ts';
import { type NodeSecrets, readNode, type RunFile, writeRun } from './datadir.ts';
import { Directory, directoryKinds } from './directory.ts';
import type { Ticket } from './job.ts';
import { listen, type Listening, type ListenOptions, type TlsKeys } from './listen.ts';
import { Jobs } from './release/jobs.ts';
import { ReleaseDoor } from './release/release.ts';
import { type EnvelopeSpool, openSpool } from './spool.ts';
import { askLapsed, keeperOf, readAuthority, renewedAtStart } from './standing.ts';
import { State } from './state.ts';
import { ippApp, type IppDoor } from './submit/ipp.ts';
import { SubmitDoor } from './submit/submit.ts';
import { warningsOf } from './warnings.ts';

/** jobs submitted by tokens in this run, remembered so that print dialogs can see how they ended */
const maxRemembered = 1000;

export interface EdgeNode {
  readonly run: RunFile;
  readonly mesh: Mesh;
  /** Finishes or hands back what is in flight within `drain_s`, then closes everything. */
  stop(): Promise<void>;
}

export async function startNode(dir: string, config: Config, log: Log): Promise<EdgeNode> {
  const found = await readNode(dir, verifyRenewable);
  const state = new State(dir);
  const { addresses } = state;
  const peers = [...config.peers, ...found.registrars];
  const secrets = await renewedAtStart(dir, { secrets: found, peers, addresses });
  const spool = await openSpool(dir, config.storage);
  const served = { tls: secrets.tls, renew: (_tls: TlsKeys) => {} };
  const mesh = await openMesh({
    ...secrets,
    transport: await createTransport({
      key: secrets.hostKey,
      listen: [`/ip4/${config.address}/tcp/${config.ports.mesh}`],
      organisation: secrets.trust.fingerprint,
      mdns: config.mdns,
      relay: secrets.identity.roles.includes('relay'),
      clock: systemClock,
    }),
    peers,
    storage: state,
    spool,
    clock: systemClock,
    log,
    kinds: directoryKinds,
    authority: await readAuthority(dir),
    keeper: keeperOf(dir, (tls) => {
      served.tls = tls;
      served.renew(tls);
    }),
    askLapsed: () => askLapsed({ secrets, peers, addresses }),
  });
  const directory = new Directory(mesh);
  const jobs = new Jobs(mesh);
  const submit = new SubmitDoor(mesh);
  const release = new ReleaseDoor(mesh);
  const api = createApi({
    trust: secrets.trust,
    audience: mesh.self.peerId,
    now_ms: () => mesh.now_ms(),
    known: mesh.ledger,
    log,
  });
  jobRoutes(api, { mesh, directory, jobs, submit, release });
  const admin = {
    ...{ mesh, trust: secrets.trust, directory, state, log },
    status: () => status(mesh, state, spool, submit, release),
  };
  adminRoutes(api, admin);
  standingRoutes(api, admin);
  siteRoutes(api, admin);
  const ipp = ippApp(ippDoor({ directory, jobs, submit, release, secrets }), log);
  const servers = await openPorts(config, served.tls, ipp.fetch, api.fetch);
  served.renew = (tls) => [servers.https, servers.release].forEach((server) => server.renew(tls));
  const run = runFile(mesh, servers);
  await writeRun(dir, run);
  const stop = () => stopNode({ dir, config, log, mesh, state, submit, release, servers });
  return { run, mesh, stop };
}

interface Servers {
  https: Listening;
  release: Listening;
  http: Listening | null;
}

async function openPorts(
  config: Config,
  tls: TlsKeys,
  ipp: ListenOptions['fetch'],
  api: ListenOptions['fetch'],
): Promise<Servers> {
  const { address, ports } = config;
  return {
    https: await listen({ fetch: ipp, address, port: ports.https, tls, what: 'IPPS submission' }),
    // until panels and phones come to it, only this machine's own commands do
    release: await listen({
      fetch: api,
      address: '127.0.0.1',
      port: ports.release,
      tls,
      what: 'the release API',
    }),
    http: ports.http === null
      ? null
      : await listen({ fetch: ipp, address, port: ports.http, what: 'plain IPP submission' }),
  };
}

function runFile(mesh: Mesh, servers: Servers): RunFile {
  const [address] = mesh.addresses();
  const meshPort = Number(/\/tcp\/(\d+)/.exec(address ?? '')?.[1] ?? 0);
  return {
    pid: process.pid,
    peer: mesh.self.peerId,
    ports: {
      http: servers.http?.port ?? null,
      mesh: meshPort,
      https: servers.https.port,
      release: servers.release.port,
    },
  };
}

async function status(
  mesh: Mesh,
  state: State,
  spool: EnvelopeSpool,
  submit: SubmitDoor,
  release: ReleaseDoor,
): Promise<object> {
  const pieces = state.pieces.list();
  return {
    node: mesh.self.name,
    site: mesh.self.site,
    peer: mesh.self.peerId,
    roles: mesh.self.roles,
    addresses: mesh.addresses(),
    members: mesh.members().map(({ identity }) => ({ name: identity.name, site: identity.site })),
    holding: { jobs: pieces.length, bytes: pieces.reduce((sum, piece) => sum + piece.envelopeBytes, 0) },
    damaged: mesh.custody.damaged(),
    storage: await spool.usage(),
    in_flight: { submitting: submit.active, releasing: release.active },
    certificate_expires: new Date(mesh.self.notAfter).toISOString(),
    warnings: warningsOf(mesh),
  };
}

interface DoorParts {
  directory: Directory;
  jobs: Jobs;
  submit: SubmitDoor;
  release: ReleaseDoor;
  secrets: NodeSecrets;
}

function ippDoor({ directory, jobs, submit, release, secrets }: DoorParts): IppDoor {
  const remembered = new Map<string, { token: string; ticket: Ticket }>();
  const submittedWith = (token: string) => {
    const key = tokenHash(token).toHex();
    return new Map([...remembered].filter(([, r]) => r.token === key).map(([id, r]) => [id, r.ticket]));
  };
  return {
    owner: (token) => {
      const user = directory.tokenOwner(token);
      return Promise.resolve(user === undefined ? undefined : { user });
    },
    newJobId: (taken) => submit.newJobId(taken),
    submit: async (token, job, ticket, document, signal) => {
      const user = directory.tokenOwner(token);
      if (user === undefined) {
        throw new InkmeshError('unauthenticated', 'this printer address is not valid any more');
      }
      await submit.submit({ user, token }, job, ticket, document, signal);
      remembered.set(job, { token: tokenHash(token).toHex(), ticket });
      const [oldest] = remembered.keys();
      if (remembered.size > maxRemembered && oldest !== undefined) remembered.delete(oldest);
    },
    jobs: (token) => jobs.local(submittedWith(token), tokenHash(token)),
    cancel: (token, job) => release.cancel(job, { proof: cancelProof(token, job) }),
    queue: {
      name: 'inkmesh',
      uuid: queueUuid(secrets),
      organisation: secrets.trust.organisation,
    },
    maxDocumentBytes,
  };
}

/** One UUID for the queue of a site, whichever of its nodes serves it (RFC 9562 version 8 out of names). */
function queueUuid({ trust, identity }: NodeSecrets): string {
  const hex = tokenHash(`inkmesh queue ${trust.fingerprint} ${identity.site}`).toHex();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${
    hex.slice(20, 32)
  }`;
}

async function stopNode(parts: {
  dir: string;
  config: Config;
  log: Log;
  mesh: Mesh;
  state: State;
  submit: SubmitDoor;
  release: ReleaseDoor;
  servers: Servers;
}): Promise<void> {
  const { submit, release, servers, mesh, state, log } = parts;
  submit.close();
  const all = [servers.https, servers.release, ...(servers.http === null ? [] : [servers.http])];
  const answered = Promise.all(all.map((server) => server.close()));
  const deadline_ms = performance.now() + parts.config.drain_s * 1000;
  const busy = () => submit.active + release.active > 0;
  if (busy()) {
    log('info', 'finishing what is in flight', { submitting: submit.active, releasing: release.active });
  }
  while (busy() && performance.now() < deadline_ms) await pause(50);
  release.abort();
  const abortDeadline_ms = performance.now() + abortPatience_ms;
  while (release.active > 0 && performance.now() < abortDeadline_ms) await pause(20);
  for (const server of all) server.kill();
  // a submission that is cut off here takes its pieces back
  while (submit.active > 0 && performance.now() < abortDeadline_ms) await pause(20);
  await Promise.race([answered, pause(500)]);
  await mesh.close();
  state.close();
  await rm(join(parts.dir, 'run.json'), { force: true });
}

const abortPatience_ms = 5000;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
