/** Commands of administrators: what users show at panels. */
import { adminClient } from './client.ts';
import { type Command, option, UsageError } from './command.ts';

const common = { dir: option.text, credential: option.text } as const;

/** The path of what a user shows. */
const pathOf = (user: string, what: string) => `/v1/users/${encodeURIComponent(user)}/${what}`;

export const userPin: Command = {
  name: 'user pin',
  usage: 'NAME --dir DIR [--pin PIN | --remove]',
  about: 'give a user a PIN for panels: a generated one of 6 characters, or PIN; a new one unlocks',
  options: { ...common, pin: option.text, remove: option.flag },
  positionals: 1,
  run: async (args) => {
    const name = args.at(0);
    const pin = args.optional('pin');
    if (args.flag('remove')) {
      if (pin !== undefined) throw new UsageError('either --pin PIN or --remove');
      const removed = await (await adminClient(args)).post(pathOf(name, 'pin/remove'), {});
      return { json: removed, text: `${name} has no PIN any more.` };
    }
    const given = await (await adminClient(args)).post<{ pin: string }>(pathOf(name, 'pin'), {
      pin: pin ?? null,
    });
    return { json: given, text: `${name} logs in at panels with the PIN\n  ${given.pin}\n(shown this once)` };
  },
};

export const userBadge: Command = {
  name: 'user badge',
  usage: 'NAME ID --dir DIR [--short]',
  about:
    'give a user the badge that a panel’s reader types as ID; "none" takes it back; --short: less than 8 characters',
  options: { ...common, short: option.flag },
  positionals: 2,
  run: async (args) => {
    const [name, badge] = [args.at(0), args.at(1)];
    const client = await adminClient(args);
    const given = badge === 'none'
      ? await client.post(pathOf(name, 'badge/remove'), {})
      : await client.post(pathOf(name, 'badge'), { badge, short: args.flag('short') });
    const text = badge === 'none'
      ? `${name} has no badge any more.`
      : `${name} logs in at panels with this badge.`;
    return { json: given, text };
  },
};
