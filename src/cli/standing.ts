/** Commands about who belongs to the organisation: nodes, registrars, and who is shut out. */
import { adminClient } from './client.ts';
import { type Args, type Command, option, type Result, table } from './command.ts';

const common = { dir: option.text, credential: option.text } as const;

/** As `GET /v1/nodes` lists a node. */
export interface NodeView {
  name: string;
  site: string;
  roles: string[];
  peer: string;
  connected: boolean;
  revoked: string | null;
  name_taken: boolean;
  suspicions: string[];
}

export const nodeList: Command = {
  name: 'node list',
  usage: '--dir DIR',
  about: 'the organisation’s nodes: which are awake, revoked, or break the rules',
  options: common,
  positionals: 0,
  run: async (args) => {
    const nodes = await (await adminClient(args)).get<NodeView[]>('/v1/nodes');
    const rows = nodes.map((node) => [node.name, node.site, node.roles.join(','), stateOf(node)]);
    return { json: nodes, text: table([['NODE', 'SITE', 'ROLES', 'STATE'], ...rows]) };
  },
};

function stateOf(node: NodeView): string {
  if (node.revoked !== null) return `revoked ${node.revoked}`;
  const notes = [
    node.connected ? 'awake' : 'not reached',
    ...(node.name_taken ? [`name is another node’s: revoke ${node.peer}`] : []),
    ...node.suspicions.map((reason) => `suspect: ${reason}`),
  ];
  return notes.join('; ');
}

interface Revoked {
  revoked: string;
}

export const nodeRevoke: Command = {
  name: 'node revoke',
  usage: 'NAME --dir DIR',
  about: 'shut a node out for good: a stolen or a rogue machine',
  options: common,
  positionals: 1,
  run: (args) =>
    revoke(
      args,
      `/v1/nodes/${encodeURIComponent(args.at(0))}/revoke`,
      'every node shuts it out; it cannot return',
    ),
};

export const userRevoke: Command = {
  name: 'user revoke',
  usage: 'NAME --dir DIR',
  about: 'shut a user out for good, with all devices and printer addresses',
  options: common,
  positionals: 1,
  run: (args) =>
    revoke(
      args,
      `/v1/users/${encodeURIComponent(args.at(0))}/revoke`,
      'no device of theirs is let in any more',
    ),
};

export const deviceRevoke: Command = {
  name: 'device revoke',
  usage: 'ID --dir DIR',
  about: 'shut one device of a user out for good, with its printer address',
  options: common,
  positionals: 1,
  run: (args) =>
    revoke(
      args,
      `/v1/devices/${encodeURIComponent(args.at(0))}/revoke`,
      'its user may log in anew on another',
    ),
};

async function revoke(args: Args, path: string, effect: string): Promise<Result> {
  const done = await (await adminClient(args)).post<Revoked>(path, {});
  return { json: done, text: `${args.at(0)} is revoked since ${done.revoked}: ${effect}` };
}

interface DeviceView {
  id: string;
  user: string;
  enrolled: string;
  revoked: string | null;
  token_expires: string;
  /** of a browser: the host name at which it has enrolled */
  origin?: string;
}

export const deviceList: Command = {
  name: 'device list',
  usage: '--dir DIR [--user NAME]',
  about: 'the devices that have logged in',
  options: { ...common, user: option.text },
  positionals: 0,
  run: async (args) => {
    const user = args.optional('user');
    const query = user === undefined ? '' : `?user=${encodeURIComponent(user)}`;
    const devices = await (await adminClient(args)).get<DeviceView[]>(`/v1/devices${query}`);
    const rows = devices.map(({ id, user, enrolled, token_expires, origin, revoked }) => [
      ...[id, user, enrolled, token_expires, origin ?? ''],
      revoked === null ? '' : `revoked ${revoked}`,
    ]);
    return {
      json: devices,
      text: table([['DEVICE', 'USER', 'ENROLLED', 'PRINTS UNTIL', 'BROWSER AT', 'STATE'], ...rows]),
    };
  },
};

export const registrarAdd: Command = {
  name: 'registrar add',
  usage: 'NAME --dir DIR',
  about: 'make another node a registrar too, so that the loss of one stops nothing',
  options: common,
  positionals: 1,
  run: async (args) => {
    const name = args.at(0);
    const path = `/v1/nodes/${encodeURIComponent(name)}/registrar`;
    const done = await (await adminClient(args)).post(path, {});
    return {
      json: done,
      text: [
        `${name} is a registrar now: it enrols nodes, users and devices, and renews certificates.`,
        'Invitations stay with the registrar that made them.',
        'Administrators need their credential there: --credential FILE.',
      ].join('\n'),
    };
  },
};
