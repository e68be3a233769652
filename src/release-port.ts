/** The release port: the signed API and the pages, for this machine's own commands, and for phones and panels. */
import { isEnrolment } from './api/enrol.ts';
import { isHealth } from './api/health.ts';
import { listen, type Listening, type ListenOptions, type TlsKeys } from './listen.ts';

interface Served {
  fetch: ListenOptions['fetch'];
}

export interface ReleasePort {
  /** under `/v1/` and `/app/` */
  api: Served;
  enrol: Served;
  /** for the doctor on this machine */
  health: Served;
  /** everywhere else */
  pages: Served;
  tls: TlsKeys;
  port: number;
  /** the interface on which phones and panels come; undefined on a node that does not face them */
  address: string | undefined;
}

const loopback = '127.0.0.1';
const reachesLoopback = new Set([loopback, '0.0.0.0', '::']);

/** @throws InkmeshError `unavailable` when the port is taken */
export async function listenForRelease(options: ReleasePort): Promise<Listening> {
  const { api, enrol, health, pages, tls, port, address } = options;
  const served = (request: Parameters<ListenOptions['fetch']>[0]) =>
    isEnrolment(request) ? enrol : isHealth(request) ? health : isApi(request) ? api : pages;
  const fetch: ListenOptions['fetch'] = (request, env) => served(request).fetch(request, env);

  const common = { fetch, tls, what: 'the release API' };
  const own = address === undefined || reachesLoopback.has(address);
  const first = await listen({ ...common, port, address: own ? address ?? loopback : loopback });
  if (own) return first;
  const second = await listen({ ...common, port: first.port, address });
  return both(first, second);
}

export function isApi({ url }: Pick<Request, 'url'>): boolean {
  return /^\/(?:v1|app)\//.test(new URL(url).pathname);
}

function both(first: Listening, second: Listening): Listening {
  const each = [first, second];
  return {
    port: first.port,
    renew: (tls) => each.forEach((one) => one.renew(tls)),
    serveAs: (hosts, tls) => each.forEach((one) => one.serveAs(hosts, tls)),
    close: async () => void await Promise.all(each.map((one) => one.close())),
    kill: () => each.forEach((one) => one.kill()),
  };
}
