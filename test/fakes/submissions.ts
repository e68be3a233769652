/** Submissions that break off at one node of a fake mesh and go on at another. */
import { randomBytes } from 'node:crypto';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Fact } from '../../mesh/facts.ts';
import { type Credential, signRequest, viewPurpose } from '../../mesh/mod.ts';
import { type FakeNode, patience_ms, pieces, type Stored } from './mesh.ts';
import { refusalOf } from './organisation.ts';
import { waitFor } from './processes.ts';

export interface Begun {
  submission: string;
  job: string;
  document: Uint8Array;
  /** what the node says, when it does: '' when it has accepted the document */
  answer: Promise<string>;
}

/** Brings a document to a node. */
export function begin(
  { mesh: { acceptor } }: FakeNode,
  by: Credential,
  submission: string = crypto.randomUUID(),
): Begun {
  const document = randomBytes(200_000);
  const job = acceptor.jobIdFor(by.user, submission);
  const wanted = { job, owner: by.user, submitter: null, ticket: new Uint8Array([1]) };
  const accepting = () => acceptor.accept(wanted, pieces(document), new AbortController().signal);
  return { submission, job, document, answer: refusalOf(accepting) };
}

/** What `at` finds out of a submission that `author` has not answered. */
export async function resumed(
  at: FakeNode,
  author: Pick<FakeNode, 'peer'>,
  submission: string,
  by: Credential,
  now = Date.now(),
): Promise<Fact | undefined> {
  const proof = await signRequest(by, { ...viewPurpose, audience: at.peer }, now);
  return await at.mesh.resumption.jobOf({ submission, owner: by.user, author: author.peer, proof });
}

/** The job fact that a node knows, unless the job was taken back. */
export const jobAt = ({ mesh: { ledger } }: FakeNode, job: string): Fact | undefined =>
  ledger.latest('withdrawn', job) === undefined ? ledger.first('job', job) : undefined;

export const storedOf = (
  fact: Fact,
  { document }: Begun,
  owner: Credential,
  holders: FakeNode[],
): Stored => ({ ...{ id: fact.subject, fact, owner, document, holders } });

/** Resolves when a condition holds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  await waitFor(() => holds() || undefined, { deadline_ms: patience_ms, what });
}

/** Has a node's seals wait for ever: as if it died there. Resolves when one waits. */
export function sealsNever({ mesh: { custody } }: FakeNode): Promise<void> {
  return new Promise((resolve) => {
    custody.seal = () => {
      resolve();
      return new Promise(() => {});
    };
  });
}

/** Has the next seal of each of these nodes wait: what the first node asks of it arrives when it is called. */
export function sealsLate(at: readonly FakeNode[]): (count: number) => Promise<(() => Promise<unknown>)[]> {
  const late: (() => Promise<unknown>)[] = [];
  for (const { mesh: { custody } } of at) {
    const { seal } = custody;
    custody.seal = (from, request) =>
      new Promise((resolve, reject) => {
        custody.seal = seal;
        late.push(() => seal.call(custody, from, request).then(resolve, reject));
      });
  }
  return (count) =>
    waitFor(() => late.length === count ? late : undefined, {
      deadline_ms: patience_ms,
      what: `${count} seals to be asked for`,
    });
}

/** A job in the middle of its seals. */
export interface HalfSealed {
  /** has sealed */
  first: FakeNode;
  /** has been asked to, and waits */
  second: FakeNode;
  /** has the second seal it, or refuse to */
  go(refuses?: boolean): void;
}

/** Of these nodes, has the one that is asked first seal the next job, and the other one wait. */
export async function halfSealed(at: readonly FakeNode[], begun: () => string): Promise<HalfSealed> {
  const box: { first?: FakeNode; second?: FakeNode; go?: (refuses: boolean) => void } = {};
  const restore = at.map(({ mesh: { custody } }) => {
    const { seal } = custody;
    return () => custody.seal = seal;
  });
  for (const node of at) {
    const { custody } = node.mesh;
    const { seal } = custody;
    custody.seal = async (from, request) => {
      box.first ??= node;
      if (node === box.first) return await seal.call(custody, from, request);
      box.second = node;
      const refuses = await new Promise<boolean>((resolve) => box.go = resolve);
      if (refuses) throw new InkmeshError('forbidden', 'not me');
      await seal.call(custody, from, request);
    };
  }
  const job = begun();
  const sealed = () => box.first?.mesh.ledger.first('job', job) !== undefined;
  await until('one seal, and another one that waits', () => box.second !== undefined && sealed());
  for (const each of restore) each();
  const go = (refuses = false) => box.go?.(refuses);
  return { first: box.first!, second: box.second!, go };
}
