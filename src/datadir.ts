/** The files of a node's data directory, and credentials: all JSON, readable by their owner only. */
import { chmod, mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import { check, integer, text } from '../mesh/codec.ts';
import { asInkmeshError, InkmeshError } from '../mesh/errors.ts';
import {
  type Credential,
  type DeviceCertificates,
  exportKey,
  fromPem,
  importKeyPair,
  type NodeCertificates,
  type NodeIdentity,
  readTrust,
  toPem,
  type Trust,
  type UserIdentity,
  verifyIdentity,
  verifyRenewable,
} from '../mesh/mod.ts';
import { siteName } from '../mesh/names.ts';

const pem = v.pipe(v.string(), v.maxLength(8192));
const pems = v.pipe(v.array(pem), v.maxLength(4));

const nodeFile = v.strictObject({
  /** libp2p's key as protobuf, base64 */
  hostKey: v.pipe(v.string(), v.maxLength(512)),
  key: pem,
  /** age identity, X25519 */
  sealKey: text(128),
  certificate: pem,
  issuers: pems,
  tls: v.strictObject({ certificate: pem, issuer: pem }),
  root: pem,
  /** where the registrars were when this node joined */
  registrars: v.pipe(v.array(text(256)), v.maxLength(8)),
});

const credentialFile = v.strictObject({
  user: text(64),
  site: siteName,
  certificate: pem,
  issuers: pems,
  key: pem,
  root: pem,
  /** what a print dialog submits with */
  token: v.nullable(text(128)),
});

const runFile = v.strictObject({
  pid: integer(1, 2 ** 32),
  peer: text(64),
  ports: v.strictObject({
    http: v.nullable(integer(1, 65535)),
    mesh: integer(1, 65535),
    https: integer(1, 65535),
    release: integer(1, 65535),
  }),
});
/** Where a running node listens. */
export type RunFile = v.InferOutput<typeof runFile>;

/** Who a node is, and with which keys. */
export interface NodeSecrets {
  hostKey: Uint8Array;
  key: CryptoKey;
  sealKey: string;
  identity: NodeIdentity;
  issuers: Uint8Array[];
  trust: Trust;
  /** PEM: key, chain */
  tls: { key: string; cert: string };
  registrars: string[];
}

export interface NewNode {
  hostKey: Uint8Array;
  keys: CryptoKeyPair;
  sealKey: string;
  leaf: Uint8Array;
  issuers: readonly Uint8Array[];
  tls: { leaf: Uint8Array; issuer: Uint8Array };
  root: Uint8Array;
  registrars: readonly string[];
}

const nodeName = 'node.json';
const runName = 'run.json';
const registrarName = 'registrar.json';

export const files = {
  config: (dir: string) => join(dir, 'config.json'),
  tomlConfig: (dir: string) => join(dir, 'config.toml'),
  adminCredential: (dir: string) => join(dir, 'admin.credential'),
} as const;

/** Makes the directory a node's. @throws InkmeshError `conflict` when it is one already */
export async function writeNode(dir: string, node: NewNode): Promise<void> {
  const { certificates, tls } = certificatesOf(node);
  const file: v.InferOutput<typeof nodeFile> = {
    ...{ ...certificates, tls },
    hostKey: Buffer.from(node.hostKey).toString('base64'),
    key: await exportKey(node.keys.privateKey),
    sealKey: node.sealKey,
    root: toPem('CERTIFICATE', node.root),
    registrars: [...node.registrars],
  };
  await makeDataDir(dir);
  await writePrivate(join(dir, nodeName), file);
}

/** A data directory can be passed through, for `run.json`, but not listed; every other file is its owner's alone. */
export async function makeDataDir(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  await chmod(dir, 0o711);
}

/** Whether a directory is a node's. */
export async function isNodeDir(dir: string): Promise<boolean> {
  return await readJson(join(dir, nodeName)) !== undefined;
}

/** Whether a directory is a cloud node's, its certificate valid or lapsed. */
export async function isCloudDir(dir: string): Promise<boolean> {
  const found = await readNode(dir, verifyRenewable).catch(() => undefined);
  return found?.identity.roles.includes('cloud') ?? false;
}

/** @throws InkmeshError `conflict` when the directory is a node's already */
export async function refuseExisting(dir: string): Promise<void> {
  if (await isNodeDir(dir)) {
    throw new InkmeshError(
      'conflict',
      `${dir} belongs to a node already: give another --dir, or start it with inkmesh node`,
    );
  }
}

/**
 * @param verify checks the certificate
 * @throws InkmeshError `not-found` when it is no node's directory, `unauthenticated` when its certificate has lapsed
 */
export async function readNode(
  dir: string,
  verify: typeof verifyIdentity = verifyIdentity,
): Promise<NodeSecrets> {
  const json = await readJson(join(dir, nodeName));
  if (json === undefined) {
    throw new InkmeshError(
      'not-found',
      `${dir} is no node’s directory yet: use inkmesh org init, or inkmesh join TOKEN`,
    );
  }
  const file = check(nodeFile, json);
  const trust = await readTrust(fromPem(file.root));
  const issuers = file.issuers.map(fromPem);
  const identity = await verify(trust, fromPem(file.certificate), issuers, Date.now());
  if (identity.kind !== 'node') {
    throw new InkmeshError('corrupt', `${dir} holds a certificate that is no node’s`);
  }
  return {
    hostKey: new Uint8Array(Buffer.from(file.hostKey, 'base64')),
    key: (await importKeyPair(file.key)).privateKey,
    sealKey: file.sealKey,
    identity,
    issuers,
    trust,
    tls: { key: file.key, cert: file.tls.certificate + file.tls.issuer },
    registrars: file.registrars,
  };
}

/** Puts new certificates of the same keys in the place of the old ones, durably. @returns what TLS is served with */
export async function writeCertificates(dir: string, given: NodeCertificates): Promise<NodeSecrets['tls']> {
  const path = join(dir, nodeName);
  const file = check(nodeFile, await readJson(path));
  const { certificates, tls } = certificatesOf(given);
  await writePrivate(path, { ...file, ...certificates, tls });
  return { key: file.key, cert: tls.certificate + tls.issuer };
}

function certificatesOf({ leaf, issuers, tls }: Pick<NewNode, 'leaf' | 'issuers' | 'tls'>) {
  return {
    certificates: {
      certificate: toPem('CERTIFICATE', leaf),
      issuers: issuers.map((der) => toPem('CERTIFICATE', der)),
    },
    tls: { certificate: toPem('CERTIFICATE', tls.leaf), issuer: toPem('CERTIFICATE', tls.issuer) },
  };
}

export function writeRegistrar(dir: string, authority: unknown): Promise<void> {
  return writePrivate(join(dir, registrarName), authority);
}

/** The issuers of a registrar as JSON, undefined on any other node. */
export function readRegistrar(dir: string): Promise<unknown> {
  return readJson(join(dir, registrarName));
}

/** Readable by all: users of the machine find the node by it, and nothing in it is secret. */
export function writeRun(dir: string, run: RunFile): Promise<void> {
  return writeDurably(join(dir, runName), JSON.stringify(run) + '\n', 0o644);
}

/** @throws InkmeshError `unavailable` when no node has run in the directory */
export async function readRun(dir: string): Promise<RunFile> {
  const json = await readJson(join(dir, runName));
  if (json === undefined) {
    throw new InkmeshError('unavailable', `no node runs in ${dir}: start it with inkmesh node --dir ${dir}`);
  }
  return check(runFile, json);
}

export interface StoredCredential extends Credential {
  identity: UserIdentity;
  site: string;
  /** submit token of this device */
  token: string | null;
}

export async function writeCredential(
  path: string,
  given: {
    user: string;
    site: string;
    keys: CryptoKeyPair;
    leaf: Uint8Array;
    issuers: readonly Uint8Array[];
    root: Uint8Array;
    token: string | null;
  },
): Promise<void> {
  const file: v.InferOutput<typeof credentialFile> = {
    user: given.user,
    site: given.site,
    certificate: toPem('CERTIFICATE', given.leaf),
    issuers: given.issuers.map((der) => toPem('CERTIFICATE', der)),
    key: await exportKey(given.keys.privateKey),
    root: toPem('CERTIFICATE', given.root),
    token: given.token,
  };
  await writePrivate(path, file);
}

/** Puts a new certificate of the same key in the place of the old one, durably. */
export async function renewCredential(path: string, given: DeviceCertificates): Promise<void> {
  const file = check(credentialFile, await readJson(path));
  const issuers = given.issuers.map((der) => toPem('CERTIFICATE', der));
  await writePrivate(path, { ...file, certificate: toPem('CERTIFICATE', given.leaf), issuers });
}

/** @throws InkmeshError `not-found`, or what is wrong with it */
export async function readCredential(path: string): Promise<StoredCredential> {
  const json = await readJson(path);
  if (json === undefined) {
    throw new InkmeshError(
      'not-found',
      `there is no credential at ${path}: use inkmesh login INVITE, or --credential FILE`,
    );
  }
  const file = check(credentialFile, json);
  const trust = await readTrust(fromPem(file.root));
  const issuers = file.issuers.map(fromPem);
  const certificate = fromPem(file.certificate);
  const identity = await verifyIdentity(trust, certificate, issuers, Date.now()).catch((cause) => {
    const { code, message } = asInkmeshError(cause);
    throw new InkmeshError(code, `${path}: ${message}; ask for a new invitation (inkmesh login)`, {}, {
      cause,
    });
  });
  if (identity.kind !== 'user') throw new InkmeshError('corrupt', `${path} is not a user’s credential`);
  const { privateKey: key } = await importKeyPair(file.key);
  return {
    user: identity.user,
    certificate,
    issuers,
    key,
    trust,
    identity,
    site: file.site,
    token: file.token,
  };
}

/** Writes JSON durably and in one piece, for this account's eyes only. */
export async function writePrivate(path: string, value: unknown): Promise<void> {
  await writeDurably(path, JSON.stringify(value, null, 2) + '\n');
}

export async function writeDurably(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const part = `${path}.part`;
    const file = await open(part, 'w', mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
    await syncFolder(dirname(path));
  } catch (cause) {
    throw new InkmeshError('unavailable', `${path} cannot be written: ${asInkmeshError(cause).message}`, {}, {
      cause,
    });
  }
}

/** So that the new name of a file is on disk too; Windows has no such thing. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function readJson(path: string): Promise<unknown> {
  let content: string;
  try {
    content = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new InkmeshError('unavailable', `${path} cannot be read: ${asInkmeshError(cause).message}`, {}, {
      cause,
    });
  }
  try {
    return JSON.parse(content);
  } catch (cause) {
    throw new InkmeshError('corrupt', `${path} is damaged: it is not JSON`, {}, { cause });
  }
}
