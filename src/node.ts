/** The composition root of an edge node: builds its parts, starts them, and stops them in order. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Hono } from 'hono';
import { createTransport, type Log, type Mesh, openMesh, verifyRenewable } from '../mesh/mod.ts';
import { adminRoutes } from './api/admin.ts';
import { systemClock } from './clock.ts';
import { createApi } from './api/app.ts';
import { auditRoutes } from './api/audit.ts';
import { enrolApp } from './api/enrol.ts';
import { forwardApp } from './api/forward.ts';
import { healthApp } from './api/health.ts';
import { isRelease, jobRoutes } from './api/jobs.ts';
import { answersOf } from './api/passed.ts';
import { pageRoutes } from './api/pages.tsx';
import { printerAdminRoutes } from './api/printer-admin.ts';
import { printerRoutes } from './api/printers.ts';
import { siteRoutes } from './api/sites.ts';
import { isSubmission, submissionRoutes } from './api/submissions.ts';
import { standingRoutes } from './api/standing.ts';
import { Troubles } from './api/trouble.ts';
import { verifierRoutes } from './api/verifiers.ts';
import type { Config } from './config.ts';
import { type NodeSecrets, readNode, type RunFile, writeRun } from './datadir.ts';
import { inquire } from './deliver/inquiry.ts';
import { Directory, directoryKinds, type Printer } from './directory.ts';
import { Front } from './front.ts';
import { deliverLimits } from './limits.ts';
import { listen, type Listening, type ListenOptions, type TlsKeys } from './listen.ts';
import { PanelLogin } from './panel/login.ts';
import { Verifiers } from './panel/verifier.ts';
import { ReachWatch } from './printers/reach-watch.ts';
import { Conditions } from './printers/status.ts';
import { hearTraps, type Traps } from './printers/traps.ts';
import { listenForRelease } from './release-port.ts';
import { releaseApp } from './release/app.tsx';
import { Jobs } from './release/jobs.ts';
import { Live } from './release/live.ts';
import { ReleaseDoor } from './release/release.ts';
import { Sessions } from './release/session.ts';
import { siteLink } from './site-link.ts';
import { type EnvelopeSpool, openSpool } from './spool.ts';
import { askLapsed, keeperOf, readAuthority, renewedAtStart } from './standing.ts';
import { State } from './state.ts';
import { httpApp } from './submit/http.ts';
import { ippApp } from './submit/ipp.ts';
import { Recheck } from './submit/recheck.ts';
import { Sources } from './submit/source.ts';
import { SubmitDoor } from './submit/submit.ts';
import { tokenDoor } from './token-door.ts';
import { warningsOf } from './warnings.ts';

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
  const cloud = config.cloud === undefined ? [] : [config.cloud];
  const peers = [...config.peers, ...cloud, ...found.registrars];
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
    // a port that the system chooses is nobody's to know before
    ...(config.ports.https === 0 ? {} : { clientPort: config.ports.https }),
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
  const ports = { release: config.ports.release };
  const link = (path: string) => siteLink(mesh.self.site, config.mdns, ports.release, path);
  const doors = openDoors({ mesh, state, secrets, spool, log, config, link });
  const faces = mesh.self.roles.some((role) => role === 'front' || role === 'panel');
  const servers = await openPorts(config, served.tls, faces, doors);
  ports.release = servers.release.port;
  served.renew = (tls) => [servers.https, servers.release].forEach((server) => server.renew(tls));
  const front = new Front({ mesh, config, servers, tls: () => served.tls, door: doors.door, log });
  const run = runFile(mesh, servers);
  await writeRun(dir, run);
  const stop = () => stopNode({ dir, config, log, mesh, state, ...doors, front, servers });
  return { run, mesh, stop };
}

interface DoorParts {
  mesh: Mesh;
  state: State;
  secrets: NodeSecrets;
  spool: EnvelopeSpool;
  log: Log;
  config: Config;
  link(path: string): string;
}

/** The doors, and what calls them over HTTP. */
function openDoors({ mesh, state, secrets, spool, log, config, link }: DoorParts) {
  const directory = new Directory(mesh);
  const jobs = new Jobs(mesh);
  const { audit } = state;
  const sources = new Sources(mesh, audit);
  const recheck = new Recheck({ mesh, sources, table: state.unconfirmed, audit, log });
  const submit = new SubmitDoor({ mesh, sources, recheck, audit });
  const asking = { snmp: config.snmp, askIpp: inquire };
  const conditions = new Conditions({ ...asking, log });
  const release = new ReleaseDoor(mesh, {
    systemQueues: config.systemQueues,
    limits: { ...deliverLimits, wait_ms: config.printerWait_s * 1000 },
    conditionOf: (printer) => conditions.conditionOf(printer),
    printerOf: (name) => directory.printer(name),
  });
  const { trust } = secrets;
  const verifiers = new Verifiers(mesh, trust.fingerprint);
  const sessions = new Sessions({ mesh, login: new PanelLogin({ mesh, verifiers, audit }) });
  const api = createApi({
    ...{ trust, log, audit, site: mesh.self.site },
    audience: mesh.self.peerId,
    now_ms: () => mesh.now_ms(),
    known: mesh.ledger,
  });
  submissionRoutes(api, { mesh, submit });
  jobRoutes(api, { mesh, directory, jobs, release });
  const traps = config.snmp?.traps === true
    ? hearTraps(config.snmp.trapPort, (address) => conditions.forget(address), log)
    : undefined;
  const reach = new ReachWatch({ mesh, snmp: config.snmp, printers: () => directory.printers(), log });
  printerRoutes(api, { mesh, directory, conditions, asking, reach });
  const troubles = new Troubles(conditions);
  pageRoutes(api, { mesh, directory, jobs, live: new Live(mesh), troubles });
  const { peerId: peer, site, roles } = mesh.self;
  const pages = releaseApp({
    node: { peer, site, organisation: trust.organisation },
    now_ms: () => mesh.now_ms(),
    forward: forwardApp({ mesh, trust, audit }),
    panel: roles.includes('panel')
      ? { sessions, jobs, directory, release, site, trouble: (of: Printer) => troubles.of(of) }
      : undefined,
  });
  const admin = {
    ...{ mesh, trust, directory, state, log, link },
    status: () => status({ mesh, state, spool, submit, release, directory }),
  };
  adminRoutes(api, admin);
  printerAdminRoutes(api, { ...admin, asking });
  standingRoutes(api, admin);
  siteRoutes(api, admin);
  verifierRoutes(api, { ...admin, verifiers });
  auditRoutes(api, audit);
  mesh.passOn.answerBy(answersOf(api));
  const door = tokenDoor({ sources, jobs, submit, release, secrets, audit });
  const enrol = enrolApp({ mesh, trust, audit, log });
  const submission = new Hono().route('/', ippApp(door, log)).route('/', httpApp(door, log));
  const health = healthApp({ mesh, sealKey: secrets.sealKey, directory, snmp: config.snmp });
  return { submit, recheck, release, reach, traps, door, submission, api, enrol, health, pages };
}

interface Servers {
  https: Listening;
  release: Listening;
  http: Listening | null;
}

type Fetch = ListenOptions['fetch'];

async function openPorts(
  config: Config,
  tls: TlsKeys,
  faces: boolean,
  { submission, ...release }: Record<'submission' | 'api' | 'enrol' | 'health' | 'pages', { fetch: Fetch }>,
): Promise<Servers> {
  const { address, ports } = config;
  const signed: Fetch = (request, env) =>
    (isSubmission(request) || isRelease(request) ? release.api : submission).fetch(request, env);
  return {
    https: await listen({ fetch: signed, address, port: ports.https, tls, what: 'submission over TLS' }),
    release: await listenForRelease({
      ...release,
      ...{ tls, port: ports.release },
      address: faces ? address : undefined,
    }),
    http: ports.http === null
      ? null
      : await listen({ fetch: submission.fetch, address, port: ports.http, what: 'plain submission' }),
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

interface StatusParts {
  mesh: Mesh;
  state: State;
  spool: EnvelopeSpool;
  submit: SubmitDoor;
  release: ReleaseDoor;
  directory: Directory;
}

async function status({ mesh, state, spool, submit, release, directory }: StatusParts): Promise<object> {
  const pieces = state.pieces.list();
  return {
    node: mesh.self.name,
    site: mesh.self.site,
    peer: mesh.self.peerId,
    roles: mesh.self.roles,
    addresses: mesh.addresses(),
    members: mesh.members().map(({ identity }) => ({ name: identity.name, site: identity.site })),
    supers: mesh.supers().map(({ name }) => name),
    holding: { jobs: pieces.length, bytes: pieces.reduce((sum, piece) => sum + piece.envelopeBytes, 0) },
    damaged: mesh.custody.damaged(),
    storage: await spool.usage(),
    in_flight: { submitting: submit.active, releasing: release.active },
    certificate_expires: new Date(mesh.self.notAfter).toISOString(),
    warnings: [...warningsOf(mesh), ...release.warnings(directory.printers())],
  };
}

async function stopNode(parts: {
  dir: string;
  config: Config;
  log: Log;
  mesh: Mesh;
  state: State;
  submit: SubmitDoor;
  recheck: Recheck;
  release: ReleaseDoor;
  reach: ReachWatch;
  traps: Promise<Traps> | undefined;
  front: Front;
  servers: Servers;
}): Promise<void> {
  const { submit, release, servers, mesh, state, log } = parts;
  await parts.front.close();
  submit.close();
  parts.recheck.close();
  parts.reach.close();
  (await parts.traps)?.close();
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
  release.close();
  for (const server of all) server.kill();
  // a submission that is cut off here takes its pieces back
  while (submit.active > 0 && performance.now() < abortDeadline_ms) await pause(20);
  await Promise.race([answered, pause(500)]);
  await mesh.close();
  state.close();
  await rm(join(parts.dir, 'run.json'), { force: true });
}

/** printers are given the time to say what came of a job that is cancelled, and holders to hear it */
const abortPatience_ms = deliverLimits.cancel_ms + 5000;
