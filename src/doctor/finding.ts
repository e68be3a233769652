/** What the doctor says of one thing that it has looked at. */

/** Every thing that it looks at, in the order in which people read of them. */
export const checks = [
  'configuration',
  'identity',
  'certificate',
  'tls',
  'disk',
  'service',
  'ports',
  'url',
  'registrar',
  'reachable',
  'peers',
  'clock',
  'mdns',
  'printers',
  'cloud',
  'proxy',
] as const;
export type Check = (typeof checks)[number];

export interface Finding {
  check: Check;
  /** `warn`: it works, but not as it should; `fail`: it does not */
  level: 'ok' | 'warn' | 'fail';
  message: string;
  /** the command, or what else, that mends it; null where nothing is to be mended */
  fix: string | null;
}

export const ok = (check: Check, message: string): Finding => ({ check, level: 'ok', message, fix: null });
export const warn = (check: Check, message: string, fix: string): Finding => ({
  check,
  level: 'warn',
  message,
  fix,
});
export const fail = (check: Check, message: string, fix: string): Finding => ({
  check,
  level: 'fail',
  message,
  fix,
});
