/** Commands about printers themselves: how they are, and where there are some. */
import type { PrinterState } from '../api/printers.ts';
import type { Supply } from '../printers/condition.ts';
import type { Discovered } from '../printers/discover.ts';
import { adminClient, userOrAdmin } from './client.ts';
import { type Command, option, table, UsageError } from './command.ts';

const common = { dir: option.text, credential: option.text } as const;

export const printerStatus: Command = {
  name: 'printer status',
  usage: '[NAME] --dir DIR',
  about: 'how the printers are, as the node sees them, and what to do about it',
  options: common,
  positionals: 'any',
  run: async (args) => {
    if (args.positionals.length > 1) throw new UsageError('give the name of one printer, or none for all');
    const name = args.at(0);
    const query = name === '' ? '' : `?name=${encodeURIComponent(name)}`;
    const states = await (await userOrAdmin(args)).get<PrinterState[]>(`/v1/printer-states${query}`);
    const rows = states.map((state) => [state.name, state.site, state.state, state.advice.join('; ')]);
    const [one] = states;
    const more = name === '' || one === undefined ? [] : detailsOf(one);
    return {
      json: states,
      text: [table([['PRINTER', 'SITE', 'STATE', 'WHAT TO DO'], ...rows]), ...more].join('\n'),
    };
  },
};

function detailsOf({ condition, reached_by }: PrinterState): string[] {
  const { pages, supplies = [] } = condition ?? {};
  return [
    ...(reached_by.length === 0 ? [] : [`reached by ${reached_by.join(', ')}`]),
    ...(pages === undefined ? [] : [`${pages} pages printed so far`]),
    ...supplies.map((supply) => `${supply.name}: ${levelOf(supply)}`),
  ];
}

function levelOf({ percent, isWaste }: Supply): string {
  if (percent === null) return 'it does not say';
  return isWaste ? `${percent} % full` : `${percent} % left`;
}

export const printerDiscover: Command = {
  name: 'printer discover',
  usage: '--dir DIR [--subnet 10.0.4.0/24]...',
  about: 'look for printers: by mDNS, in the system’s own queues, and by SNMP in subnets of at most /22',
  options: { ...common, subnet: option.list },
  positionals: 0,
  run: async (args, terminal) => {
    const client = await adminClient(args);
    terminal.say('looking for printers …');
    const found = await client.post<Discovered[]>('/v1/discover', { subnets: args.list('subnet') });
    const rows = found.map((printer) => [
      printer.name ?? printer.model ?? '',
      printer.uris[0] ?? 'nothing here prints to it',
      printer.model ?? '',
      printer.by.join(','),
      printer.known ?? '',
    ]);
    const head = ['FOUND', 'ADDRESS', 'MODEL', 'BY', 'KNOWN AS'];
    const moved = found.filter(({ moved, uris }) => moved && uris.length > 0).map(({ known, site, uris }) =>
      `${known} has a new address: inkmesh printer add ${uris[0]} --name ${known} --site ${site}`
    );
    return {
      json: found,
      text: found.length === 0 ? 'no printers' : [table([head, ...rows]), ...moved].join('\n'),
    };
  },
};
