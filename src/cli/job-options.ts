/** What the commands of users share: where they act, and how a document is to come out. */
import { type JobOptions, jobOptionsSchema, notFinished, stapled } from '../job.ts';
import { type Args, checkArgument, option } from './command.ts';

export const common = { dir: option.text, credential: option.text } as const;
export const template = {
  copies: option.text,
  sides: option.text,
  color: option.text,
  media: option.text,
  staple: option.text,
} as const;
export const templateUsage = '[--copies N] [--sides SIDES] [--color MODE] [--media SIZE] [--staple on|off]';

const colorModes: Readonly<Record<string, string>> = { on: 'color', off: 'monochrome' };
const staples: Readonly<Record<string, number>> = { on: stapled, off: notFinished };

/** @throws UsageError */
export function jobOptions(args: Args): JobOptions {
  const color = args.optional('color');
  const staple = args.optional('staple');
  const given = {
    copies: args.optional('copies') === undefined ? undefined : args.integer('copies', 1),
    sides: args.optional('sides'),
    'print-color-mode': color === undefined ? undefined : colorModes[color] ?? color,
    media: args.optional('media'),
    finishings: staple === undefined ? undefined : staples[staple] ?? staple,
  };
  const chosen = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return checkArgument(jobOptionsSchema, chosen, 'options');
}
