/**
 * What a front node does for its site: it serves TLS under the site's name with the site's key, and while it is one of
 * the two super nodes it advertises the queue under that name on every LAN.
 */
import type { Log, Mesh, SiteTls } from '../mesh/mod.ts';
import { siteHosts } from '../mesh/names.ts';
import type { Config } from './config.ts';
import { mdnsLimits } from './limits.ts';
import type { Listening, TlsKeys } from './listen.ts';
import { type Advertised, type Service, serviceOf, serviceRecords } from './submit/advertise.ts';
import { Responder } from './submit/responder.ts';

export interface FrontOptions {
  mesh: Mesh;
  config: Pick<Config, 'address' | 'mdns'>;
  servers: { readonly https: Listening; readonly release: Listening; readonly http: Listening | null };
  /** this node's own, whose issuer is the site's too */
  tls(): TlsKeys;
  door: Advertised;
  log: Log;
}

export class Front {
  readonly #options: FrontOptions;
  readonly #service: Service;
  readonly #look: ReturnType<typeof setInterval>;
  #responder: Responder | undefined;
  /** PeerIds */
  #supers: ReadonlySet<string> = new Set();

  constructor(options: FrontOptions) {
    this.#options = options;
    const { mesh, servers, door } = options;
    const ports = { ipps: servers.https.port, ipp: servers.http?.port ?? null };
    this.#service = serviceOf(mesh.self.site, door, ports);
    const { siteKey } = mesh.membership;
    siteKey.onChange((key) => this.#serve(key));
    this.#serve(siteKey.current);
    this.#look = setInterval(() => this.#follow(), mdnsLimits.supersLook_ms);
  }

  /** Takes back what was advertised. */
  async close(): Promise<void> {
    clearInterval(this.#look);
    await this.#responder?.close(this.#supers.size < 2);
  }

  /** Serves TLS under the site's name, or no longer. */
  #serve(key: SiteTls | undefined): void {
    const { mesh, servers, tls } = this.#options;
    const keys = key === undefined ? undefined : chain(key, tls());
    const hosts = Object.values(siteHosts(mesh.self.site));
    for (const server of [servers.https, servers.release]) server.serveAs(hosts, keys);
  }

  #follow(): void {
    const { mesh, config, log } = this.#options;
    const { peerId, roles } = mesh.self;
    if (!config.mdns || !roles.includes('front')) return;
    const supers = new Set(mesh.supers().map(({ peerId }) => peerId));
    const isGone = [...this.#supers].some((peer) => !supers.has(peer));
    this.#supers = supers;
    const isSuper = supers.has(peerId) && mesh.membership.siteKey.current !== undefined;
    if (isSuper && this.#responder === undefined) {
      log('info', 'this node faces phones and print dialogs for its site', { name: this.#service.instance });
      this.#responder = new Responder({
        records: serviceRecords(this.#service),
        host: this.#service.host,
        address: config.address === '0.0.0.0' ? undefined : config.address,
        log,
      });
    } else if (!isSuper && this.#responder !== undefined) {
      log('info', 'other nodes face phones and print dialogs for this site now');
      void this.#responder.close(supers.size === 0);
      this.#responder = undefined;
    } else if (isGone) this.#responder?.forgetOthers();
  }
}

/** The site's certificate with its issuer, which comes second in this node's own chain. */
function chain({ key, certificate }: SiteTls, own: TlsKeys): TlsKeys {
  const issuer = own.cert.slice(own.cert.indexOf('-----BEGIN', 1));
  return { key, cert: certificate + issuer };
}
