/** Facts that a node may not state, or should not, each validly signed by its own key. */
import { directoryDoc, type Fact, jobsDoc, signFact } from '../../mesh/facts.ts';
import { newJobId } from '../../mesh/job-id.ts';
import { defaultPolicy, siteKind } from '../../mesh/policy.ts';
import { start_ms } from './clock.ts';
import type { SimKeys } from './org.ts';
import type { Random } from './random.ts';
import type { Job } from './watch.ts';

const forgeries = [
  'own job',
  'own job',
  'second job fact',
  'second job fact',
  'ahead of time',
  'foreign job',
  'foreign withdrawal',
  'own withdrawal',
  'foreign claim',
  'own claim',
  'policy',
  'revocation',
  'foreign author',
  'itself',
] as const;
type Forgery = typeof forgeries[number];

const day_ms = 24 * 3600_000;

export interface Stated {
  doc: string;
  record: Uint8Array;
}

export class Forger {
  readonly #keys: SimKeys;
  readonly #random: Random;
  readonly #peers: readonly string[];
  /** jobs that it says to have accepted */
  readonly jobs: string[] = [];

  /** @param peers of the other nodes */
  constructor(keys: SimKeys, random: Random, peers: readonly string[]) {
    this.#keys = keys;
    this.#random = random;
    this.#peers = peers;
  }

  /** @param job somebody's, if there is one @param now_ms of the timeline */
  record(job: Job | undefined, now_ms: number): Promise<Stated> {
    return this.#signed(this.#random.pick(forgeries), job, now_ms);
  }

  /** Its own certificate, which it may state. */
  introduction(now_ms: number): Promise<Stated> {
    return this.#signed('itself', undefined, now_ms);
  }

  async #signed(forgery: Forgery, job: Job | undefined, now_ms: number): Promise<Stated> {
    const fact = this.#fact(forgery, job, start_ms + Math.trunc(now_ms));
    return { doc: fact.doc, record: await signFact(this.#keys.key, fact) };
  }

  #fact(forgery: Forgery, job: Job | undefined, time_ms: number): Fact {
    const { identity, issuers, sealKey } = this.#keys;
    const plain = {
      ...{ doc: jobsDoc('a', time_ms), author: identity.peerId, time_ms },
      // now and then one that it has used before
      seq: this.#random.chance(0.3) ? 1 + this.#random.below(4) : time_ms + this.#random.below(100),
    };
    const own = this.jobs.at(-1) ?? newJobId(identity.peerId);
    const foreign = job?.id ?? own;
    switch (forgery) {
      case 'own job':
      case 'second job fact':
      case 'ahead of time': {
        const subject = forgery === 'own job' ? newJobId(identity.peerId) : own;
        if (this.jobs.at(-1) !== subject) this.jobs.push(subject);
        const at_ms = forgery === 'ahead of time' ? Date.UTC(2099, 0) : time_ms;
        const doc = this.#random.chance(0.5) ? jobsDoc('a', at_ms) : plain.doc;
        return { ...plain, doc, time_ms: at_ms, kind: 'job', subject, body: this.#jobBody(at_ms) };
      }
      case 'foreign job':
        return { ...plain, kind: 'job', subject: foreign, body: this.#jobBody(time_ms) };
      case 'foreign withdrawal':
      case 'own withdrawal':
        return {
          ...plain,
          kind: 'withdrawn',
          subject: forgery === 'own withdrawal' ? own : foreign,
          body: {},
        };
      case 'foreign claim':
      case 'own claim':
        return { ...plain, kind: 'settled', subject: foreign, body: this.#settledBody(forgery, job) };
      case 'policy': {
        const body = { ...defaultPolicy, retention_ms: 7 * day_ms };
        return { ...plain, doc: directoryDoc, kind: siteKind.name, subject: 'a', body };
      }
      case 'revocation': {
        const subject = `node:${this.#random.pick(this.#peers)}`;
        return { ...plain, doc: directoryDoc, kind: 'revoked', subject, body: {} };
      }
      case 'foreign author': {
        const author = this.#random.pick(this.#peers);
        return { ...plain, author, kind: 'withdrawn', subject: foreign, body: {} };
      }
      case 'itself': {
        const body = { leaf: identity.der, issuers, seal: `age1${sealKey.length}` };
        return { ...plain, doc: directoryDoc, kind: 'node', subject: identity.peerId, body };
      }
    }
  }

  #jobBody(time_ms: number) {
    const first = this.#random.below(this.#peers.length);
    const holders = [0, 1, 2].map((i) => this.#peers[(first + i) % this.#peers.length]);
    return {
      ...{ owner: 'ada', bytes: this.#random.below(1000), epoch: 1, expires_ms: time_ms + day_ms },
      ...{ degraded: null, sleeper: null, handed: null, holders },
    };
  }

  /** With receipts that are its own inventions. */
  #settledBody(forgery: Forgery, job: Job | undefined) {
    const claims = forgery === 'own claim' ? [] : [...job?.begun ?? []];
    const own = `${this.#keys.identity.peerId}/00000000-0000-4000-8000-000000000000`;
    return {
      ...{ epoch: 1, claim: claims.at(-1) ?? own, outcome: 'printed', target: 'printer-1', reason: '' },
      receipts: (job?.holders ?? this.#peers).slice(0, 2).map((peer) => [peer, this.#random.bytes(64)]),
    };
  }
}
