/** Commands for printers: making them known, accepting a new certificate, removing and listing them. */
import type { Seen } from '../api/printer-admin.ts';
import { isSystemQueue } from '../deliver/deliver.ts';
import type { Printer } from '../directory.ts';
import { adminClient, userOrAdmin } from './client.ts';
import { type Command, option, table } from './command.ts';

/** What `printer accept` shows. Fingerprints are SHA-256, hexadecimal. */
export interface Accepted {
  printer: string;
  /** null where none was accepted before */
  old: string | null;
  new: string;
}

const common = { dir: option.text, credential: option.text } as const;
const label = 'spools plaintext';

const addresses = ({ uri, more = [] }: Printer): string[] => [uri, ...more];
const spools = (printer: Printer): boolean => addresses(printer).some(isSystemQueue);

export const printerAdd: Command = {
  name: 'printer add',
  usage: 'URI --name NAME --site SITE --dir DIR [--or URI]... [--pjl]',
  about: 'make a printer known: ipp://, ipps://, socket:// or system:QUEUE; --or gives it further addresses',
  options: { ...common, name: option.text, site: option.text, or: option.list, pjl: option.flag },
  positionals: 1,
  run: async (args) => {
    const client = await adminClient(args);
    const registrar = await client.registrar();
    const seen = await client.post<Seen>('/v1/printers/look', {
      uri: args.at(0),
      more: args.list('or'),
      name: args.required('name'),
      site: args.required('site'),
      pjl: args.flag('pjl'),
    });
    const printer = await registrar.post<Printer>('/v1/printers', seen);
    const where = addresses(printer).join(' or ');
    const warning = spools(printer)
      ? `\nIt ${label}: the operating system’s queue keeps each document unencrypted on that machine’s disk until ` +
        'it has come out. Only nodes with systemQueues in their configuration use it.'
      : '';
    return {
      json: printer,
      text: `"${printer.name}" is ${printer.model ?? 'a printer'} at ${where}${warning}`,
    };
  },
};

export const printerAccept: Command = {
  name: 'printer accept',
  usage: 'NAME --dir DIR',
  about: 'accept the certificate that a printer shows now; the old one counts no more',
  options: common,
  positionals: 1,
  run: async (args) => {
    const name = args.at(0);
    const client = await adminClient(args);
    const registrar = await client.registrar();
    const seen = await client.post<Seen>(`/v1/printers/${encodeURIComponent(name)}/look`, {});
    const { fingerprint } = await registrar.post<Printer>('/v1/printers', seen);
    const accepted: Accepted = {
      ...{ printer: name, old: seen.before?.fingerprint ?? null, new: fingerprint ?? '' },
    };
    const lines = accepted.old === accepted.new
      ? [`${name} still shows the certificate that was accepted:`, `  ${accepted.new}`]
      : [
        `${name} is trusted with its new certificate. Compare it with what the printer’s own panel or page shows:`,
        `  old  ${accepted.old ?? 'none'}`,
        `  new  ${accepted.new}`,
      ];
    return { json: accepted, text: lines.join('\n') };
  },
};

export const printerRemove: Command = {
  name: 'printer remove',
  usage: 'NAME --dir DIR',
  about: 'nothing is released at a printer any more, and its certificate is forgotten; jobs stay held',
  options: common,
  positionals: 1,
  run: async (args) => {
    const name = args.at(0);
    const path = `/v1/printers/${encodeURIComponent(name)}/remove`;
    const registrar = await (await adminClient(args)).registrar();
    const removed = await registrar.post<{ name: string; removed: true }>(path, {});
    return { json: removed, text: `"${removed.name}" is no printer any more` };
  },
};

export const printerList: Command = {
  name: 'printer list',
  usage: '--dir DIR',
  about: 'the printers that jobs can be released at',
  options: common,
  positionals: 0,
  run: async (args) => {
    const printers = await (await userOrAdmin(args)).get<Printer[]>('/v1/printers');
    const rows = printers.map((printer) => [
      printer.name,
      printer.site,
      addresses(printer).join(' '),
      printer.model ?? '',
      spools(printer) ? label : '',
    ]);
    return { json: printers, text: table([['PRINTER', 'SITE', 'URI', 'MODEL', ''], ...rows]) };
  },
};
