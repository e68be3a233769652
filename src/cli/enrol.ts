/** Commands that make identities on this machine: org init, join, login. */
import { join, resolve } from 'node:path';
import * as v from 'valibot';
import { InkmeshError } from '../../mesh/errors.ts';
import { nodeName, siteName } from '../../mesh/names.ts';
import {
  createOrganisation,
  createRequest,
  exportAuthority,
  generateHostKey,
  generateKeys,
  generateSealKey,
  type JoinToken,
  meshAddress,
  parseToken,
  redeem,
  socketUrl,
  tokenHash,
} from '../../mesh/mod.ts';
import { readConfig, submissionPort } from '../config.ts';
import {
  files,
  makeDataDir,
  readRun,
  refuseExisting,
  writeCredential,
  writeDurably,
  writeNode,
  writeRegistrar,
} from '../datadir.ts';
import { systemClock } from '../clock.ts';
import { firewallAdvice } from '../service/firewall.ts';
import type { ConfigSources } from '../settings.ts';
import { credentialPath } from './client.ts';
import { type Args, checkArgument, type Command, option, type Result } from './command.ts';
import { configOptions, configSources } from './config.ts';
import { machineName, ownIps, writeAdmin, writeRegistrarNode } from './found.ts';

/** What the first node may be besides the registrar. */
const nodeRole = v.picklist(['front', 'panel', 'relay']);

export const orgInit: Command = {
  name: 'org init',
  usage: '--name NAME --dir DIR [--site SITE] [--node NAME] [--role ROLE]...',
  about: 'found an organisation, and make this machine its registrar',
  options: { name: option.text, dir: option.text, site: option.text, node: option.text, role: option.list },
  positionals: 0,
  run: async (args) => {
    const dir = resolve(args.required('dir'));
    const site = checkArgument(siteName, args.optional('site') ?? 'main', '--site');
    const name = checkArgument(nodeName, args.optional('node') ?? machineName(), '--node');
    const roles = args.list('role').map((one) => checkArgument(nodeRole, one, '--role'));
    await refuseExisting(dir);
    const { authority, rootFile, passphrase } = await createOrganisation(args.required('name'), Date.now());
    await makeDataDir(dir);
    const rootPath = join(dir, 'organisation-root.age');
    await writeDurably(rootPath, rootFile);
    await writeRegistrar(dir, await exportAuthority(authority));
    const admin = await writeAdmin(dir, authority, site);
    await writeRegistrarNode(dir, authority, { name, site, roles });
    return {
      json: {
        organisation: authority.trust.organisation,
        dir,
        site,
        node: name,
        root: rootPath,
        passphrase,
        admin,
      },
      text: [
        `${authority.trust.organisation} is founded; this machine is its registrar "${name}" at site "${site}".`,
        `Keep offline:  ${rootPath}`,
        `  passphrase:  ${passphrase}`,
        `  (shown this once; the standard age tool opens the file with it)`,
        `Administrator: ${admin}`,
        `Next:          inkmesh node --dir ${dir}`,
        `               inkmesh invite node --site ${site} --dir ${dir}`,
      ].join('\n'),
    };
  },
};

export const joinCommand: Command = {
  name: 'join',
  usage: 'TOKEN --dir DIR [--at HOST:PORT|URL] [--node NAME] [--config FILE] [--set KEY=VALUE]...',
  about: 'enrol this machine with a join token, at a registrar or through a cloud node (--at https://HOST)',
  options: { dir: option.text, at: option.text, node: option.text, ...configOptions },
  positionals: 1,
  run: async (args) => {
    const dir = resolve(args.required('dir'));
    const token = parseToken(args.at(0));
    if (token.kind !== 'node') {
      throw new InkmeshError('bad-request', 'this is a user’s invitation: use inkmesh login');
    }
    await refuseExisting(dir);
    const sources = configSources(args, dir);
    const config = await readConfig(sources);
    const name = checkArgument(nodeName, args.optional('node') ?? machineName(), '--node');
    const { hostKey } = await generateHostKey();
    const keys = await generateKeys();
    const listen = `/ip4/${config.address}/tcp/${config.ports.mesh}`;
    const port = config.ports.mesh;
    const reachableAt = port === 0 ? [] : ownIps().filter((ip) => !ip.includes(':'));
    const addresses = reachableAt.slice(0, 8).map((ip) => `${ip}:${port}`);
    const registrars = registrarsOf(token, args);
    const enrolled = await redeem({
      ...{ hostKey, clock: systemClock, secret: token.secret, rootFingerprint: token.root },
      addresses: registrars,
      listen: port === 0 ? [] : [listen],
      request: await createRequest(keys),
      subject: { kind: 'node', name, addresses },
    });
    if (enrolled.tls === undefined) {
      throw new InkmeshError('internal', 'the registrar gave no TLS certificate');
    }
    const { leaf, issuers, tls, trust } = enrolled;
    const sealKey = await generateSealKey();
    await writeNode(dir, { hostKey, keys, sealKey, leaf, issuers, tls, root: trust.root, registrars });
    const reachable = addresses.length === 0 ? null : enrolled.reachable;
    const cloud = enrolled.through === null ? null : cloudUrl(enrolled.through);
    const named = cloud === null || config.cloud !== undefined ? [] : [await nameCloud(dir, cloud, sources)];
    const through = cloud === null ? [] : [
      `It has enrolled through the cloud node ${cloud}, by which other sites reach it once their relay and its own are on.`,
      `Nodes of its own site connect to its TCP port ${port}, which nobody could try from there: inkmesh doctor.`,
      ...named,
    ];
    const blocked = reachable !== false ? [] : [
      `But others cannot connect to TCP port ${port} of this machine, so it is of no use to them: ${firewallAdvice()}`,
    ];
    return {
      json: { organisation: trust.organisation, site: enrolled.site, node: name, dir, reachable, cloud },
      text: [
        `"${name}" belongs to ${trust.organisation}, site "${enrolled.site}".`,
        ...through,
        `Next: inkmesh install, or inkmesh node --dir ${dir}`,
        ...blocked,
      ].join('\n'),
      // enrolled, and not healthy
      code: reachable === false ? 1 : 0,
    };
  },
};

export const login: Command = {
  name: 'login',
  usage: 'INVITE [--credential FILE] [--at HOST:PORT|URL] [--dir DIR]',
  about: 'make this device a user’s, with an invitation',
  options: { credential: option.text, at: option.text, dir: option.text },
  positionals: 1,
  run: async (args): Promise<Result> => {
    const invite = parseToken(args.at(0));
    if (invite.kind !== 'user') {
      throw new InkmeshError('bad-request', 'this is a node’s join token: use inkmesh join');
    }
    const path = args.optional('credential') ?? credentialPath();
    const dir = args.optional('dir');
    // before the invitation is spent
    const port = dir === undefined ? submissionPort : (await readRun(dir)).ports.https;
    const { hostKey } = await generateHostKey();
    const keys = await generateKeys();
    const token = Buffer.from(crypto.getRandomValues(new Uint8Array(20))).toString('base64url');
    const device = crypto.randomUUID();
    const { leaf, issuers, trust, site, user } = await redeem({
      ...{ hostKey, clock: systemClock, secret: invite.secret, rootFingerprint: invite.root },
      addresses: registrarsOf(invite, args),
      listen: [],
      request: await createRequest(keys),
      subject: { kind: 'user', device, tokenHash: tokenHash(token) },
    });
    if (user === null) throw new InkmeshError('internal', 'the registrar named no user');
    await writeCredential(path, { user, site, keys, leaf, issuers, root: trust.root, token });
    const uri = `ipps://localhost:${port}/ipp/print/${token}`;
    return {
      json: { user, organisation: trust.organisation, credential: path, token, print_uri: uri },
      text:
        `This device is ${user}’s now: ${path}\nPrint dialogs on a machine that runs a node add the printer\n  ${uri}`,
    };
  },
};

const cloudUrl = (address: string): string => socketUrl(meshAddress(address)) ?? address;

/** Has the node's configuration name its cloud node. @returns what is said of it */
async function nameCloud(dir: string, cloud: string, { file }: ConfigSources): Promise<string> {
  if (file !== undefined) return `Name it in ${file}: cloud, ${JSON.stringify(cloud)}`;
  const own = files.config(dir);
  await writeDurably(own, JSON.stringify({ cloud }) + '\n');
  return `${own} names it.`;
}

function registrarsOf(token: JoinToken, args: Args): string[] {
  const at = args.optional('at');
  return at === undefined ? [...token.addresses] : [at];
}
