/** Commands about printers themselves: how they are, and where there are some. */
import type { PrinterState } from '../api/printers.ts';
import type { Supply } from '../printers/condition.ts';
import { userOrAdmin } from './client.ts';
import { type Command, option, table } from './command.ts';

const common = { dir: option.text, credential: option.text } as const;

export const printerStatus: Command = {
  name: 'printer status',
  usage: '[NAME] --dir DIR',
  about: 'how the printers are, as the node sees them, and what to do about it',
  options: common,
  positionals: 0,
  optional: 1,
  run: async (args) => {
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

function detailsOf({ condition }: PrinterState): string[] {
  const { pages, supplies = [] } = condition ?? {};
  return [
    ...(pages === undefined ? [] : [`${pages} pages printed so far`]),
    ...supplies.map((supply) => `${supply.name}: ${levelOf(supply)}`),
  ];
}

function levelOf({ percent, isWaste }: Supply): string {
  if (percent === null) return 'it does not say';
  return isWaste ? `${percent} % full` : `${percent} % left`;
}
