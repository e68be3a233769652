/**
 * The nodes that documents can be brought to, as this device heard last: a file beside the credential, so that a
 * command finds another node where the first is switched off.
 */
import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { check, text } from '../../mesh/codec.ts';
import { nodeName, peerId, siteName } from '../../mesh/names.ts';
import type { ClientNode } from '../api/submissions.ts';
import { writePrivate } from '../datadir.ts';
import type { Endpoint } from './client.ts';

const nodesFile = v.pipe(
  v.array(v.strictObject({
    name: nodeName,
    site: siteName,
    peer: peerId,
    at: v.pipe(v.array(text(300)), v.maxLength(8)),
    cloud: v.exactOptional(v.literal(true)),
  })),
  v.maxLength(16),
);

const pathOf = (credential: string): string => `${credential}.nodes`;

/** @param credential the path of its file @returns none where nothing is known yet, or it cannot be read */
export async function knownNodes(credential: string): Promise<ClientNode[]> {
  try {
    return check(nodesFile, JSON.parse(await readFile(pathOf(credential), 'utf8')));
  } catch {
    return [];
  }
}

/** @throws InkmeshError `bad-request` for what is no list of nodes */
export const checkNodes = (said: unknown): ClientNode[] => check(nodesFile, said);

/**
 * Remembers what a node has said, if it is news; a folder that cannot be written to is no reason to fail.
 * @throws InkmeshError `bad-request` for what is no list of nodes
 */
export async function keepNodes(credential: string, said: unknown): Promise<ClientNode[]> {
  const nodes = checkNodes(said);
  if (JSON.stringify(await knownNodes(credential)) !== JSON.stringify(nodes)) {
    await writePrivate(pathOf(credential), nodes).catch(() => {});
  }
  return nodes;
}

/** Where they are asked, one after the other: every address of the first, then of the next. */
export function endpointsOf(nodes: readonly ClientNode[]): Endpoint[] {
  return nodes.flatMap(({ name, site, peer, at, cloud }) =>
    at.map((address) => {
      const { host, port } = hostPort(address);
      if (cloud) return { name, peer, host, port, servername: null, cloud };
      // by name, for an address may change; every node's certificate has this one
      return { name, peer, host, port, servername: `${name}.${site}.inkmesh.internal` };
    })
  );
}

/** @param address HOST:PORT or [v6]:PORT */
export function hostPort(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) };
}
