/**
 * Sites as network namespaces. A site is a router with one or two LANs (bridges) that it joins without passing on
 * multicast; sites are joined by VPN links, of which a router knows only those that it has: two branches that have a
 * link each to a head office do not reach each other. Site N has 10.N.0.0/16, its LAN L 10.N.L.0/24.
 */
import { execFileSync } from 'node:child_process';
import { toolPath } from '../../fakes/require.ts';
import { addNamespace, inside, ip, setting } from './namespaces.ts';

export interface Site {
  readonly name: string;
  readonly number: number;
  /** namespace */
  readonly router: string;
}

export interface Place {
  readonly name: string;
  readonly site: Site;
  readonly namespace: string;
  readonly address: string;
  /** Takes its cable out of the switch: nothing comes or goes, and nobody is told. */
  unplug(): void;
  plug(): void;
  /** Addresses of the other ends of its TCP connections. */
  connectedTo(): string[];
}

export interface Traffic {
  readonly packets: number;
  readonly bytes: number;
}

export interface Vpn {
  /** Loses every packet silently. */
  block(): void;
  /** Takes the line down: what is sent is answered with "unreachable". */
  cut(): void;
  /** Ends both. */
  mend(): void;
  /** What has passed so far, both ways, headers included. No ARP: the routers know each other. */
  traffic(): Traffic;
}

/** A site's way to the internet, behind NAT. */
export interface Uplink {
  /** What the site has sent to the one address and port that are open to it. */
  sent(): Traffic;
  /** What else it has tried to send. */
  refused(): Traffic;
  /** Octets a second that come from the internet, at most. */
  slow(bytes: number): void;
  /** Ends that. */
  fast(): void;
}

export class Network {
  readonly #sites: Site[] = [];
  readonly #places = new Map<string, number>();
  #links = 0;

  site(name: string, options: { lans?: 1 | 2 } = {}): Site {
    const number = this.#sites.length + 1;
    const router = addNamespace(`router-${name}`);
    setting(router, 'net/ipv4/ip_forward', '1');
    for (let lan = 1; lan <= (options.lans ?? 1); lan++) {
      ip(`-n ${router} link add lan${lan} type bridge`);
      ip(`-n ${router} address add 10.${number}.${lan}.1/24 dev lan${lan}`);
      ip(`-n ${router} link set lan${lan} up`);
    }
    const site = { name, number, router };
    this.#sites.push(site);
    return site;
  }

  /** A machine in a LAN of a site. */
  place(name: string, site: Site, lan: 1 | 2 = 1): Place {
    const namespace = addNamespace(name);
    const { address, port } = this.#connect(namespace, 'eth0', site, lan);
    ip(`-n ${namespace} route add default via 10.${site.number}.${lan}.1`);
    return {
      ...{ name, site, namespace, address },
      unplug: () => void ip(`-n ${site.router} link set ${port} nomaster`),
      plug: () => void ip(`-n ${site.router} link set ${port} master lan${lan}`),
      connectedTo: () => {
        const [command, ...args] = inside(namespace, toolPath('ss') ?? 'ss', '-Htn', 'state', 'established');
        const lines = execFileSync(command, args, { encoding: 'utf8' }).split('\n');
        // the last of four columns
        return lines.map((line) => (line.trim().split(/\s+/)[3] ?? '').replace(/:\d+$/, ''));
      },
    };
  }

  /** Connects a machine to another LAN of its site too. @returns its address there */
  alsoIn({ namespace, site }: Place, lan: 1 | 2): string {
    return this.#connect(namespace, 'eth1', site, lan).address;
  }

  #connect(namespace: string, device: string, site: Site, lan: 1 | 2): { address: string; port: string } {
    const net = `10.${site.number}.${lan}`;
    const number = (this.#places.get(net) ?? 10) + 1;
    this.#places.set(net, number);
    const port = `lan${lan}-${number}`;
    ip(`-n ${site.router} link add ${port} type veth peer name ${device} netns ${namespace}`);
    ip(`-n ${site.router} link set ${port} master lan${lan} up`);
    ip(`-n ${namespace} address add ${net}.${number}/24 dev ${device}`);
    ip(`-n ${namespace} link set ${device} up`);
    return { address: `${net}.${number}`, port };
  }

  /**
   * The way of a site to another one that is the internet: as behind an office's firewall only one TCP port of one
   * address is open, and nothing leads back.
   */
  uplink(site: Site, internet: Site, open: { address: string; port: number }): Uplink {
    const [net, far] = [`10.254.${site.number}`, `office-${site.name}`];
    ip(`link add uplink netns ${site.router} type veth peer name ${far} netns ${internet.router}`);
    ip(`-n ${site.router} address add ${net}.1/30 dev uplink`);
    ip(`-n ${internet.router} address add ${net}.2/30 dev ${far}`);
    for (const [router, device] of [[site.router, 'uplink'], [internet.router, far]] as const) {
      ip(`-n ${router} link set ${device} up`);
    }
    ip(`-n ${site.router} route add default via ${net}.2`);
    nft(
      site.router,
      `table ip office {
        counter sent { }
        counter refused { }
        chain forward {
          type filter hook forward priority 0; policy accept;
          oifname "uplink" ip daddr ${open.address} tcp dport ${open.port} counter name sent accept
          oifname "uplink" counter name refused drop
        }
        chain nat { type nat hook postrouting priority 100; oifname "uplink" masquerade; }
      }`,
    );
    const counter = (name: string): Traffic => {
      const text = nft(site.router, `list counter ip office ${name}`);
      const [, packets, bytes] = /packets (\d+) bytes (\d+)/.exec(text) ?? [];
      return { packets: Number(packets), bytes: Number(bytes) };
    };
    const shape = (how: string) => tool('tc', internet.router, `qdisc ${how}`);
    return {
      sent: () => counter('sent'),
      refused: () => counter('refused'),
      slow: (bytes) =>
        void shape(`replace dev ${far} root tbf rate ${bytes * 8}bit burst 64kb latency 100ms`),
      fast: () => void shape(`del dev ${far} root`),
    };
  }

  vpn(one: Site, other: Site): Vpn {
    const net = `10.255.${++this.#links}`;
    const ends = [
      { at: one, to: other, own: `${net}.1`, peer: `${net}.2`, mac: mac(this.#links, 1) },
      { at: other, to: one, own: `${net}.2`, peer: `${net}.1`, mac: mac(this.#links, 2) },
    ] as const;
    const device = (end: (typeof ends)[number]) => `vpn-${end.to.name}`;
    const [a, b] = ends;
    ip(
      `link add ${device(a)} netns ${one.router} address ${a.mac} type veth ` +
        `peer name ${device(b)} netns ${other.router} address ${b.mac}`,
    );
    const mend = () => {
      for (const end of ends) ip(`-n ${end.at.router} link set ${device(end)} up`);
      for (const [end, far] of [[a, b], [b, a]] as const) {
        const router = `-n ${end.at.router}`;
        ip(`${router} neighbour replace ${end.peer} lladdr ${far.mac} dev ${device(end)} nud permanent`);
        ip(`${router} route replace 10.${end.to.number}.0.0/16 via ${end.peer} dev ${device(end)}`);
      }
    };
    for (const end of ends) ip(`-n ${end.at.router} address add ${end.own}/30 dev ${device(end)}`);
    mend();
    return {
      mend,
      block: () => {
        for (const { at, to } of ends) {
          ip(`-n ${at.router} route replace blackhole 10.${to.number}.0.0/16`);
        }
      },
      cut: () => void ip(`-n ${one.router} link set ${device(a)} down`),
      traffic: () => trafficOf(one.router, device(a)),
    };
  }
}

function tool(name: string, namespace: string, args: string, input?: string): string {
  const [command, ...rest] = inside(namespace, toolPath(name) ?? name, ...args.split(' '));
  return execFileSync(command, rest, { encoding: 'utf8', ...(input === undefined ? {} : { input }) });
}

/** Runs commands of nftables in a namespace. @returns what it prints */
function nft(namespace: string, commands: string): string {
  return tool('nft', namespace, '-f -', commands);
}

function mac(link: number, end: 1 | 2): string {
  return `02:00:00:00:${link.toString(16).padStart(2, '0')}:0${end}`;
}

interface LinkStatistics {
  stats64: { rx: Traffic; tx: Traffic };
}

function trafficOf(namespace: string, device: string): Traffic {
  const [link] = JSON.parse(ip(`-n ${namespace} -s -j link show dev ${device}`)) as [LinkStatistics];
  const { rx, tx } = link.stats64;
  return { packets: rx.packets + tx.packets, bytes: rx.bytes + tx.bytes };
}
