/** The numbers of a cloud node that `/metrics` gives. */
import type { Mesh, SocketDoor } from '../mesh/mod.ts';
import type { Measure } from './metrics.ts';
import type { Watch } from './watch.ts';

interface Sources {
  mesh: Pick<Mesh, 'members' | 'ledger' | 'relayed'>;
  door: SocketDoor;
  watch: Pick<Watch, 'relayed'>;
}

const one = (read: () => number) => () => new Map([['', read()]]);

export function measuresOf({ mesh, door, watch }: Sources): Measure[] {
  return [
    {
      ...{ name: 'members', help: 'nodes that are connected, by site', label: 'site' },
      read: () => {
        const sites = Map.groupBy(mesh.members(), ({ identity }) => identity.site);
        return new Map([...sites].map(([site, nodes]) => [site, nodes.length]));
      },
    },
    {
      ...{ name: 'relayed_bytes', help: 'octets that have passed, by site', label: 'site' },
      read: () => watch.relayed(),
    },
    {
      ...{ name: 'reservations', help: 'nodes that are reached through this one' },
      read: one(() => mesh.relayed().reservations),
    },
    { name: 'circuits', help: 'relayed connections', read: one(() => mesh.relayed().circuits) },
    {
      ...{ name: 'joining', help: 'circuits to registrars that who is no member has had' },
      read: one(() => mesh.relayed().joining),
    },
    {
      ...{ name: 'relay_refused', help: 'reservations and circuits that were not granted', label: 'reason' },
      read: () => new Map(Object.entries(mesh.relayed().refused)),
    },
    {
      ...{ name: 'strangers_ended', help: 'connections ended as their peers were no members' },
      read: one(() => mesh.relayed().strangers),
    },
    { name: 'websockets', help: 'WebSockets that are open', read: one(() => door.counts.open) },
    {
      ...{ name: 'websockets_turned_away', help: 'WebSockets that were not let in', label: 'reason' },
      read: () => new Map(Object.entries(door.counts.turned)),
    },
    { name: 'suspects', help: 'nodes that break the rules', read: one(() => mesh.ledger.suspects().length) },
    { name: 'resident_bytes', help: 'memory of the process', read: one(() => process.memoryUsage().rss) },
    { name: 'uptime_seconds', help: 'since the process started', read: one(() => process.uptime()) },
  ];
}
