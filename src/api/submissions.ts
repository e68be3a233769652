/**
 * API routes by which the command line brings documents. The submission port serves them too, for clients of other
 * machines: with the same signatures, and nothing else of the API.
 */
import type { Context } from 'hono';
import * as v from 'valibot';
import { check, text } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import {
  type Fact,
  isCloud,
  type JobBody,
  type Mesh,
  type NodeIdentity,
  revokedSince,
  socketTarget,
} from '../../mesh/mod.ts';
import { peerId, uuid } from '../../mesh/names.ts';
import { ticketSchema } from '../job.ts';
import { resumeLimits } from '../limits.ts';
import type { SubmitDoor } from '../submit/submit.ts';
import { addressOf, connectionOf, paced, release } from '../tls-server.ts';
import { type Api, type ApiEnv, signedJson } from './app.ts';

export interface SubmissionDoors {
  mesh: Mesh;
  submit: SubmitDoor;
}

/** A node that takes documents. */
export interface ClientNode {
  name: string;
  site: string;
  /** PeerId */
  peer: string;
  /** HOST:PORT each, for TLS */
  at: string[];
  /** it takes none itself, and knows where others are */
  cloud?: true;
}

/** What a submission has become. */
export interface Accepted {
  /** of the job */
  id: string;
  /** octets of the document */
  bytes: number;
  /** names of the nodes that hold it */
  holders: string[];
}

const maxListed = 16;
const maxAddresses = 8;
const maxClouds = 2;
const resumeRequest = v.strictObject({
  submission: uuid,
  /** PeerIds of nodes that have not answered whether they took it */
  tried: v.pipe(v.array(peerId), v.minLength(1), v.maxLength(resumeLimits.maxTried)),
});

const proofHeader = 'inkmesh-view';
const ticketHeader = 'inkmesh-ticket';
const paths = { submit: '/v1/jobs', resume: '/v1/jobs/resume', nodes: '/v1/submission-nodes' } as const;

export function submissionRoutes(api: Api, doors: SubmissionDoors): void {
  api.post(paths.submit, (c) => submit(c, doors));
  api.post(paths.resume, (c) => resume(c, doors));
  api.get(paths.nodes, (c) => c.json(clientNodes(doors.mesh)));
}

/** Whether a request is for one of these routes. */
export function isSubmission({ method, url }: Pick<Request, 'method' | 'url'>): boolean {
  const { pathname } = new URL(url);
  return method === 'GET' ? pathname === paths.nodes : method === 'POST' &&
    (pathname === paths.submit || pathname === paths.resume);
}

/** What holders may be asked with for the asker's tickets. */
export function proofOf(c: Context<ApiEnv>): string {
  return check(text(32 * 1024), c.req.header(proofHeader) ?? '');
}

/** `POST /v1/jobs?submission=UUID`, the document as body. */
async function submit(c: Context<ApiEnv>, { mesh, submit: door }: SubmissionDoors): Promise<Response> {
  const header = c.req.header(ticketHeader) ?? '';
  const ticket = check(
    ticketSchema,
    parseJson(Buffer.from(header.slice(0, 8192), 'base64url').toString('utf8')),
  );
  const { user, device } = c.var.by;
  const job = mesh.acceptor.jobIdFor(user, check(uuid, c.req.query('submission')));
  if (mesh.ledger.first('job', job) !== undefined) {
    throw new InkmeshError('conflict', 'this node has had this submission');
  }
  const { body } = c.req.raw;
  if (body === null) throw new InkmeshError('bad-request', 'the document is missing');
  const connection = connectionOf(c.env);
  try {
    const document = paced(connection, body);
    const fact = await door.submit(
      { user, device, address: addressOf(c.env) },
      job,
      ticket,
      document,
      c.req.raw.signal,
    );
    return c.json(acceptedOf(mesh, fact));
  } finally {
    release(connection);
  }
}

/**
 * A client has sent a submission to other nodes and not heard from them: answers with the job that has come of it, or
 * null, and then none comes of it there. See mesh/resume.ts.
 */
async function resume(c: Context<ApiEnv>, { mesh }: SubmissionDoors): Promise<Response> {
  const { submission, tried } = check(resumeRequest, await signedJson(c));
  const proof = proofOf(c);
  const jobOf = (author: string) =>
    mesh.resumption.jobOf({ submission, owner: c.var.by.user, author, proof });
  for (let at = 0; at < tried.length; at += resumeLimits.atOnce) {
    const told = await Promise.allSettled(tried.slice(at, at + resumeLimits.atOnce).map(jobOf));
    const job = told.find((one) => one.status === 'fulfilled' && one.value !== undefined);
    if (job?.status === 'fulfilled' && job.value !== undefined) {
      return c.json({ job: acceptedOf(mesh, job.value) });
    }
    for (const one of told) if (one.status === 'rejected') throw one.reason;
  }
  return c.json({ job: null });
}

function acceptedOf(mesh: Mesh, fact: Fact): Accepted {
  const { holders, bytes } = fact.body as JobBody;
  return { id: fact.subject, bytes, holders: holders.map((peer) => mesh.nameOf(peer)) };
}

/** Where documents can be brought at this site: first the nodes that face clients, then this one, then what is awake. */
function clientNodes(mesh: Mesh): ClientNode[] {
  const mates = mesh.members().map(({ identity }) => identity).filter(({ site }) => site === mesh.self.site);
  const nodes = new Map([...mesh.supers(), mesh.self, ...mates].map((node) => [node.peerId, node]));
  const view = ({ name, site, peerId: peer }: NodeIdentity): ClientNode => ({
    ...{ name, site, peer },
    at: mesh.clientAddresses(peer).slice(0, maxAddresses),
  });
  const near = [...nodes.values()].map(view).filter(({ at }) => at.length > 0);
  const clouds = cloudNodes(mesh);
  return [...near.slice(0, maxListed - clouds.length), ...clouds];
}

/** Those that know of further nodes, where there is no other way to these. */
function cloudNodes(mesh: Mesh): ClientNode[] {
  const standing = mesh.ledger.nodes().filter((node) =>
    isCloud(node) && revokedSince(mesh.ledger, 'node', node.peerId) === undefined
  );
  return standing.slice(0, maxClouds).map(({ name, site, peerId: peer }) => {
    const targets = mesh.addressesOf(peer).flatMap((address) => socketTarget(address) ?? []).filter((
      { tls },
    ) => tls);
    const at = targets.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`);
    return { name, site, peer, at: at.slice(0, maxAddresses), cloud: true } as const;
  }).filter(({ at }) => at.length > 0);
}

function parseJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch (cause) {
    throw new InkmeshError('bad-request', `the header ${ticketHeader} is not JSON in base64url`, {}, {
      cause,
    });
  }
}
