/** Commands of administrators: invitations, users, nodes; and the status of a node. */
import { qrCode } from '../site-link.ts';
import { adminClient, userOrAdmin } from './client.ts';
import { type Command, option, size, table } from './command.ts';

const common = { dir: option.text, credential: option.text } as const;

interface Token {
  token: string;
  expires: string;
}

export const inviteNode: Command = {
  name: 'invite node',
  usage: '--site SITE --dir DIR [--uses N] [--ttl 7d] [--role ROLE]... [--at ADDRESS]...',
  about: 'print a join token for other machines; --at HOST:PORT or https://CLOUD says where it is redeemed',
  options: {
    ...{ ...common, site: option.text, uses: option.text, ttl: option.text },
    ...{ role: option.list, at: option.list },
  },
  positionals: 0,
  run: async (args) => {
    const invite = await (await adminClient(args)).post<Token>('/v1/invites', {
      site: args.required('site'),
      uses: args.integer('uses', 1),
      life_ms: args.duration('ttl', '7d'),
      roles: args.list('role'),
      at: args.list('at'),
    });
    return {
      json: invite,
      text: `On the other machine, until ${invite.expires}:\n  inkmesh join ${invite.token} --dir DIR`,
    };
  },
};

export const userAdd: Command = {
  name: 'user add',
  usage: 'NAME --dir DIR [--email EMAIL]',
  about: 'make a user known',
  options: { ...common, email: option.text },
  positionals: 1,
  run: async (args) => {
    const name = args.at(0);
    const email = args.optional('email');
    const user = await (await adminClient(args)).post(
      '/v1/users',
      email === undefined ? { name } : { name, email },
    );
    return { json: user, text: `${name} is a user now. Next: inkmesh user invite ${name}` };
  },
};

export const userInvite: Command = {
  name: 'user invite',
  usage: 'NAME --dir DIR [--ttl 7d] [--token-ttl 365d] [--admin]',
  about: 'print an invitation that makes a device the user’s; its printer address holds for --token-ttl',
  options: { ...common, ttl: option.text, 'token-ttl': option.text, admin: option.flag },
  positionals: 1,
  run: async (args) => {
    const name = args.at(0);
    const path = `/v1/users/${encodeURIComponent(name)}/invite`;
    const invite = await (await adminClient(args)).post<
      Token & { link: string | null; cloud_link: string | null }
    >(path, {
      life_ms: args.duration('ttl', '7d'),
      tokenLife_ms: args.duration('token-ttl', '365d'),
      ...(args.flag('admin') ? { admin: true } : {}),
    });
    const { link, cloud_link } = invite;
    const anywhere = cloud_link === null ? '' : `\nOr at the cloud’s pages, from anywhere:\n  ${cloud_link}`;
    const phone = link === null
      ? 'No node of this site faces phones: inkmesh invite node --role front'
      : `With a phone or a browser:\n  ${link}\n${qrCode(link)}`;
    const text = `${name}, until ${invite.expires}:\n  inkmesh login ${invite.token}\n${phone}${anywhere}`;
    return { json: invite, text };
  },
};

interface UserView {
  name: string;
  email?: string;
  revoked: string | null;
  pin: boolean;
  badge: boolean;
  locked: string | null;
}

export const userList: Command = {
  name: 'user list',
  usage: '--dir DIR',
  about: 'the organisation’s users',
  options: common,
  positionals: 0,
  run: async (args) => {
    const users = await (await adminClient(args)).get<UserView[]>('/v1/users');
    const rows = users.map((user) => [user.name, user.email ?? '', shownBy(user), state(user)]);
    return { json: users, text: table([['USER', 'E-MAIL', 'AT PANELS', 'STATE'], ...rows]) };
  },
};

const shownBy = ({ pin, badge }: UserView) =>
  [...(badge ? ['badge'] : []), ...(pin ? ['PIN'] : [])].join(', ');

const state = ({ revoked, locked }: UserView) =>
  revoked !== null ? `revoked ${revoked}` : locked !== null ? `locked ${locked}` : '';

interface StatusView {
  node: string;
  site: string;
  members: { name: string }[];
  /** names of the site's super nodes */
  supers: string[];
  warnings: string[];
  holding: { jobs: number; bytes: number };
  damaged: string[];
  /** octets */
  storage: { used_bytes: number; quota_bytes: number; free_bytes: number };
}

export const status: Command = {
  name: 'status',
  usage: '--dir DIR',
  about: 'what a node holds and whom it reaches',
  options: common,
  positionals: 0,
  run: async (args) => {
    const view = await (await userOrAdmin(args)).get<StatusView>('/v1/status');
    const reached = view.members.map((member) => member.name).join(', ') || 'nobody';
    const { jobs } = view.holding;
    const { used_bytes, quota_bytes, free_bytes } = view.storage;
    const damaged = view.damaged.length === 0 ? '' : `; envelopes damaged here: ${view.damaged.join(', ')}`;
    const supers = view.supers.length === 0 ? '' : `; ${view.supers.join(' and ')} face phones`;
    const warnings = view.warnings.map((warning) => `\n${warning}`).join('');
    return {
      json: view,
      text: `${view.node} at site ${view.site}: reaches ${reached}; holds pieces of ${jobs} jobs (${
        size(used_bytes)
      } of ${size(quota_bytes)}, ${size(free_bytes)} free on the disk)${supers}${damaged}${warnings}`,
    };
  },
};
