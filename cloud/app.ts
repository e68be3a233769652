/** What a cloud node answers over HTTPS: the release pages, the directory, the operators' page, and how it is. */
import { Hono } from 'hono';
import type { Log, Mesh, Trust } from '../mesh/mod.ts';
import { createApi, requireAdmin } from '../src/api/app.ts';
import { auditRoutes } from '../src/api/audit.ts';
import { enrolApp, isEnrolment } from '../src/api/enrol.ts';
import { forwardApp } from '../src/api/forward.ts';
import { healthApp, isHealth } from '../src/api/health.ts';
import { jobViewRoutes } from '../src/api/jobs.ts';
import { pageRoutes } from '../src/api/pages.tsx';
import { answersOf } from '../src/api/passed.ts';
import { siteRoutes } from '../src/api/sites.ts';
import { nodeRoutes, renewalRoutes } from '../src/api/standing.ts';
import { Directory } from '../src/directory.ts';
import type { ListenOptions } from '../src/listen.ts';
import { releaseApp } from '../src/release/app.tsx';
import { Jobs } from '../src/release/jobs.ts';
import { Live } from '../src/release/live.ts';
import { isApi } from '../src/release-port.ts';
import type { State } from '../src/state.ts';
import { consoleApi, consolePages } from './console/console.tsx';
import type { CloudDb } from './db.ts';
import { directoryRoutes } from './directory.ts';
import { type Measure, metricsRoute } from './metrics.ts';
import { Trail } from './trail.ts';

export interface CloudParts {
  mesh: Mesh;
  trust: Trust;
  state: Pick<State, 'audit'>;
  db: CloudDb;
  log: Log;
  metricsToken: string | undefined;
  /** secret of the node's key file: who has it may ask how the node is */
  sealKey: string;
  measures: readonly Measure[];
  /** octets that have ever passed, by site */
  relayed(): ReadonlyMap<string, number>;
  /** whether it takes work: false from the moment at which it is to stop */
  isReady(): boolean;
  /** for `inkmesh status` */
  status(): object;
}

type Fetch = ListenOptions['fetch'];

export function cloudApp(parts: CloudParts): Fetch {
  const { mesh, trust, log } = parts;
  const { audit } = parts.state;
  const directory = new Directory(mesh);
  const jobs = new Jobs(mesh);
  const trail = new Trail({ ...parts, audit });
  const { peerId, site } = mesh.self;
  const api = createApi({
    ...{ trust, log, audit, site },
    audience: peerId,
    now_ms: () => mesh.now_ms(),
    known: mesh.ledger,
  });
  const doors = { mesh, directory, log };
  // the whole world reaches this port
  api.get('/v1/status', (c) => {
    requireAdmin(c);
    return c.json(parts.status());
  });
  directoryRoutes(api, doors);
  jobViewRoutes(api, { mesh, jobs });
  // no printer can be asked from here
  const troubles = { of: () => Promise.resolve(undefined) };
  pageRoutes(api, { mesh, directory, jobs, live: new Live(mesh), troubles });
  siteRoutes(api, doors);
  nodeRoutes(api, doors);
  renewalRoutes(api, doors);
  auditRoutes(api, trail);
  consoleApi(api, { ...parts, directory, trail });
  mesh.passOn.answerBy(answersOf(api));
  const enrol = enrolApp({ mesh, trust, audit, log });
  const health = healthApp({ mesh, sealKey: parts.sealKey, directory, snmp: null });
  const pages = pagesOf(parts, trail);
  const served = (request: Request) =>
    isEnrolment(request) ? enrol : isHealth(request) ? health : isApi(request) ? api : pages;
  return (request, env) => served(request).fetch(request, env);
}

/** What needs no signature. */
function pagesOf(parts: CloudParts, trail: Trail): Hono {
  const { mesh, trust } = parts;
  const { peerId: peer, site } = mesh.self;
  const app = new Hono();
  app.get('/healthz', (c) => c.text('ok\n'));
  app.get('/readyz', (c) => parts.isReady() ? c.text('ready\n') : c.text('stopping\n', 503));
  metricsRoute(app, parts.metricsToken, parts.measures);
  consolePages(app);
  const forward = forwardApp({
    ...{ mesh, trust, audit: parts.state.audit },
    passes: (...asked) => trail.passes(...asked),
  });
  const node = { peer, site, organisation: trust.organisation, cloud: true } as const;
  return app.route('/', releaseApp({ node, now_ms: () => mesh.now_ms(), panel: undefined, forward }));
}
