/**
 * Sites as network namespaces. A site is a router with one or two LANs (bridges) that it joins without passing on
 * multicast; sites are joined by VPN links, of which a router knows only those that it has: two branches that have a
 * link each to a head office do not reach each other. Site N has 10.N.0.0/16, its LAN L 10.N.L.0/24.
 */
import { addNamespace, ip, setting } from './namespaces.ts';

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
