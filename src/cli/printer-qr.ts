/** The command that makes a printer's label: its QR code opens the release page of its site with this printer chosen. */
import { resolve } from 'node:path';
import { renderSVG } from 'uqr';
import { InkmeshError } from '../../mesh/errors.ts';
import { printerName } from '../../mesh/names.ts';
import { readConfig } from '../config.ts';
import { readRun, writeDurably } from '../datadir.ts';
import type { Printer } from '../directory.ts';
import { qrCode, siteLink } from '../site-link.ts';
import { adminClient, userClient } from './client.ts';
import { checkArgument, type Command, option } from './command.ts';
import { configOptions, configSources } from './config.ts';

/** modules of white around a QR code (ISO/IEC 18004 section 6.3.8) */
const quietZone = 4;
/** of the label, millimetres: the code, and below it the name */
const width = 60;
const height = 70;
const fontSize = 6;

export const printerQr: Command = {
  name: 'printer qr',
  usage: 'NAME --dir DIR [--svg FILE]',
  about: 'show the QR code that opens the release page at a printer, or write it as a label to print',
  options: { dir: option.text, credential: option.text, ...configOptions, svg: option.text },
  positionals: 1,
  run: async (args) => {
    const name = checkArgument(printerName, args.at(0), 'NAME');
    const dir = args.required('dir');
    const client = await adminClient(args).catch(() => userClient(args));
    const printers = await client.get<Printer[]>('/v1/printers');
    const printer = printers.find((one) => one.name === name);
    if (printer === undefined) {
      throw new InkmeshError('not-found', `there is no printer "${name}": see inkmesh printer list`);
    }
    const { mdns } = await readConfig(configSources(args, dir));
    // the nodes of an organisation listen on the same ports
    const { release: port } = (await readRun(dir)).ports;
    const link = siteLink(printer.site, mdns, port, `/?printer=${name}`);
    const svg = args.optional('svg');
    if (svg === undefined) return { json: { printer: name, link }, text: `${link}\n${qrCode(link)}` };
    const file = resolve(svg);
    await writeDurably(file, label(name, link), 0o644);
    return { json: { printer: name, link, file }, text: `Wrote ${file}: it leads to ${link}` };
  },
};

/** A label of 60 by 70 mm. @param name in the alphabet of printers' names, so that nothing is to be escaped */
export function label(name: string, link: string): string {
  const code = renderSVG(link, { border: quietZone }).replace(
    '<svg ',
    `<svg width="${width}" height="${width}" `,
  );
  const size = Math.min(fontSize, (width - 4) / (0.6 * name.length));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}mm" height="${height}mm" viewBox="0 0 ${width} ${height}">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    code,
    `<text x="${width / 2}" y="${height - 5}" font-family="monospace" font-size="${size.toFixed(2)}" `,
    `text-anchor="middle">${name}</text>`,
    '</svg>\n',
  ].join('\n');
}
