import type { Command } from './command.ts';
export const demo: Command = { name: 'demo', usage: '', about: '', options: {}, positionals: 0, run: () => Promise.resolve({ json: {}, text: '' }) };
