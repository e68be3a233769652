/** The command that reads a node's audit trail. */
import type { AuditView } from '../audit.ts';
import { adminClient } from './client.ts';
import { type Command, option, table } from './command.ts';

export const audit: Command = {
  name: 'audit',
  usage: '--dir DIR [--limit N]',
  about: 'what a node was asked to do by whom, and whom it refused; the newest first',
  options: { dir: option.text, credential: option.text, limit: option.text },
  positionals: 0,
  run: async (args) => {
    const limit = args.integer('limit', 1000);
    const rows = await (await adminClient(args)).get<AuditView[]>(`/v1/audit?limit=${limit}`);
    const lines = rows.map(({ at, what, who, from, detail }) => [at, what, who ?? '', from ?? '', detail]);
    return { json: rows, text: table([['AT', 'WHAT', 'WHO', 'FROM', 'DETAIL'], ...lines]) };
  },
};
