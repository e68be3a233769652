/** The command that sets up phones: a profile for Apple's, and an address with a QR code for all others. */
import { resolve } from 'node:path';
import { InkmeshError } from '../../mesh/errors.ts';
import { siteHosts, siteName } from '../../mesh/names.ts';
import { readRun, writeDurably } from '../datadir.ts';
import { qrCode } from '../site-link.ts';
import { resourcePath } from '../submit/advertise.ts';
import { adminClient } from './client.ts';
import { checkArgument, type Command, option } from './command.ts';
import { mobileConfig } from './mobileconfig.ts';
import type { NodeView } from './standing.ts';

export const siteProfile: Command = {
  name: 'site profile',
  usage: 'SITE FILE --dir DIR',
  about:
    'write a profile (.mobileconfig) that adds the site’s printer to phones, and show its address as a QR code',
  options: { dir: option.text, credential: option.text },
  positionals: 2,
  run: async (args) => {
    const site = checkArgument(siteName, args.at(0), 'SITE');
    const file = resolve(args.at(1));
    const client = await adminClient(args);
    const nodes = await client.get<NodeView[]>('/v1/nodes');
    const fronts = nodes.filter((node) =>
      node.site === site && node.roles.includes('front') && node.revoked === null
    ).map(({ name }) => name);
    if (fronts.length === 0) {
      throw new InkmeshError(
        'not-found',
        `no node of the site "${site}" faces phones: inkmesh invite node --site ${site} --role front`,
      );
    }
    const { organisation, fingerprint, root } = client.credential.trust;
    const host = siteHosts(site).dns;
    // the nodes of an organisation listen on the same ports
    const { https: port } = (await readRun(args.required('dir'))).ports;
    await writeDurably(file, mobileConfig({ organisation, fingerprint, root, site, host, port }), 0o644);
    const uri = `ipps://${host}:${port}/${resourcePath}`;
    return {
      json: { site, file, host, uri, fronts },
      text: [
        `Wrote ${file}`,
        '  iPhone, iPad, Mac: send it to the device and open it there, or give it to your device management.',
        '  Without device management, let the certificate be trusted too: Settings, General, About,',
        '  Certificate Trust Settings.',
        `Others: add the printer ${uri}`,
        qrCode(uri),
        `Let your DNS resolve ${host} to the addresses of ${fronts.join(' and ')}.`,
      ].join('\n'),
    };
  },
};
