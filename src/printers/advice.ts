/** Reasons of printers as sentences that say what to do (keywords: RFC 8011 section 5.4.12, PWG 5100.9). */
import type { Condition, Reason } from './condition.ts';

interface Known {
  is: string;
  /** undefined where there is nothing to do but wait */
  todo?: string;
  /** nothing comes out while it lasts */
  stops: boolean;
}

const stops = (is: string, todo?: string): Known => ({
  is,
  ...(todo === undefined ? {} : { todo }),
  stops: true,
});
const warns = (is: string, todo?: string): Known => ({ ...stops(is, todo), stops: false });

const known: Readonly<Record<string, Known>> = {
  'cover-open': stops('a cover is open', 'close it'),
  'developer-empty': stops('the developer is used up', 'replace it'),
  'developer-low': warns('the developer is nearly used up', 'have one ready'),
  'door-open': stops('a door is open', 'close it'),
  'fuser-over-temp': stops('the fuser is too hot', 'let it cool down'),
  'fuser-under-temp': warns('the fuser is warming up'),
  hibernate: warns('it is asleep'),
  'input-manual-input-request': stops('it wants a sheet to be fed by hand', 'see its panel'),
  'input-tray-missing': stops('a tray is missing', 'push it in'),
  'input-tray-elevation-failure': stops('a tray cannot lift its paper', 'pull it out, and push it in again'),
  'input-tray-position-failure': stops('a tray is not in its place', 'pull it out, and push it in again'),
  'interlock-open': stops('a part is not locked', 'close all covers'),
  'marker-supply-empty': stops('toner or ink is used up', 'replace the cartridge'),
  'marker-supply-low': warns('toner or ink is low', 'have a cartridge ready'),
  'marker-supply-missing': stops('a cartridge is missing', 'put it in'),
  'marker-waste-almost-full': warns('the waste box is nearly full', 'have one ready'),
  'marker-waste-full': stops('the waste box is full', 'replace it'),
  'media-empty': stops('tray empty', 'add paper'),
  'media-jam': stops('paper is jammed', 'open the printer, and take it out'),
  'media-low': warns('little paper is left', 'add paper'),
  'media-needed': stops('it wants other paper than it has', 'add the paper that its panel names'),
  'moving-to-paused': stops('it is being paused'),
  offline: stops('it is off-line', 'press its button for on-line, or see its panel'),
  'opc-life-over': stops('the drum is worn out', 'replace it'),
  'opc-near-eol': warns('the drum is nearly worn out', 'have one ready'),
  other: warns('it wants attention', 'see its panel'),
  'output-area-almost-full': warns('the output tray is nearly full', 'take the paper away'),
  'output-area-full': stops('the output tray is full', 'take the paper away'),
  'output-tray-missing': stops('an output tray is missing', 'push it in'),
  paused: stops('it is paused', 'resume it at its panel'),
  shutdown: stops('it is switched off, or starts', 'switch it on'),
  'spool-area-full': stops('its memory is full', 'wait, or switch it off and on'),
  'timed-out': stops('it waits for something that does not come', 'see its panel'),
  'toner-empty': stops('toner is used up', 'replace the cartridge'),
  'toner-low': warns('toner is low', 'have a cartridge ready'),
};

const knownOf = (keyword: string): Known | undefined =>
  Object.hasOwn(known, keyword) ? known[keyword] : undefined;

/** Whether nothing comes out for a reason that a printer gives without a severity. */
export function isStopping(keyword: string): boolean | undefined {
  return knownOf(keyword)?.stops;
}

/** `tray empty: add paper` */
export function adviceOf({ keyword, text, severity }: Reason): string {
  const { is, todo } = knownOf(keyword) ?? { is: keyword.replaceAll('-', ' '), todo: undefined };
  const told = text === undefined ? '' : ` (“${text}”)`;
  const next = todo ?? (severity === 'error' ? 'see its panel' : undefined);
  return `${is}${told}${next === undefined ? '' : `: ${next}`}`;
}

const activities: Readonly<Record<Condition['activity'], string>> = {
  idle: 'ready',
  processing: 'printing',
  stopped: 'stopped',
  unknown: 'does not say how it is',
};

/** The state of a printer in a word or two: `needs help` when nothing comes out until somebody has been there. */
export function stateWord({ activity, reasons }: Condition): string {
  const isStuck = reasons.some(({ severity }) => severity === 'error');
  return isStuck ? 'needs help' : activities[activity];
}
