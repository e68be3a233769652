/** An enrolled node that follows no rule: it is a member, and calls what it likes. */
import * as v from 'valibot';
import { decodeVector, encodeVector } from '../../mesh/fact-protocol.ts';
import { type Method, Rpc } from '../../mesh/rpc.ts';
import { clientOf, encodeRun, newArrayName } from '../../mesh/update.ts';
import { type Life, Machine } from './clock.ts';
import { Forger, type Stated } from './forger.ts';
import type { SimNetwork, SimTransport } from './network.ts';
import { addressOf, type SimNode } from './node.ts';
import type { SimKeys } from './org.ts';
import type { Random } from './random.ts';
import type { Job, Watch } from './watch.ts';

const anyMethod = (name: string): Method<v.UnknownSchema, v.UnknownSchema> => ({
  name,
  request: v.unknown(),
  reply: v.unknown(),
  admission: 'anyone',
  maxBytes: 2 ** 20,
});

/** Methods that it calls with what is none of its business. */
const attacks = [
  'begin',
  'yield',
  'settle',
  'seal',
  'abandon',
  'store',
  'vote',
  'fetch',
  'announce',
  'pull',
  'records',
];

export class Rogue {
  readonly #network: SimNetwork;
  readonly #watch: Watch;
  readonly #random: Random;
  readonly #keys: SimKeys;
  readonly #transport: SimTransport;
  readonly #rpc: Rpc;
  readonly #forger: Forger;
  /** what a node that asks for a client's news is given */
  readonly #fed = new Map<number, Uint8Array>();

  /** @param peers of the other nodes */
  constructor(network: SimNetwork, watch: Watch, random: Random, keys: SimKeys, peers: readonly string[]) {
    this.#network = network;
    this.#watch = watch;
    this.#random = random;
    const machine = new Machine(network.timeline);
    const life: Life = machine.start();
    const clock = machine.clock(life);
    this.#keys = keys;
    const host = { peer: keys.identity.peerId, name: 'rogue', machine, life };
    this.#transport = network.attach(host, addressOf(peers.length + 1), clock);
    this.#rpc = new Rpc(this.#transport, clock, () => {});
    this.#forger = new Forger(keys, random, peers);
  }

  /** Jobs that it says to have accepted. */
  get jobs(): readonly string[] {
    return this.#forger.jobs;
  }

  /** Answers what a member is expected to, and has a node know its certificate. */
  async enter(node: SimNode): Promise<void> {
    const rpc = this.#rpc;
    rpc.admitBy(() => Promise.resolve());
    const time_ms = () => Math.trunc(this.#transport.clock.wall_ms());
    await rpc.handle(anyMethod('beat'), () => Promise.resolve({ reply: { time_ms: time_ms() } }));
    await rpc.handle(anyMethod('announce'), () => Promise.resolve({ reply: {} }));
    await rpc.handle(anyMethod('digests'), () => Promise.resolve({ reply: { docs: [] } }));
    await rpc.handle(anyMethod('pull'), ({ request }) => {
      const [, vector] = request as [string, Uint8Array, boolean];
      const updates = [...decodeVector(vector).keys()].flatMap((client) => this.#fed.get(client) ?? []);
      return Promise.resolve({ reply: [updates, encodeVector(new Map())] });
    });
    await this.#transport.start();
    this.#feed(node, await this.#forger.introduction(this.#network.timeline.now_ms)).catch(() => {});
  }

  /** Does something to each of some nodes that it may not. */
  act(nodes: readonly SimNode[], jobs: readonly Job[]): void {
    for (const node of nodes) {
      if (this.#random.chance(0.3)) continue;
      const job = jobs.length === 0 ? undefined : this.#random.pick(jobs.slice(-4));
      const method = this.#random.pick(attacks);
      const done = this.#random.chance(0.6)
        ? this.#state(node, job)
        : this.#call(node, method, this.#request(method, job));
      done.catch(() => {});
    }
  }

  /** States a forged fact to one node alone, in an array of its own. */
  async #state(node: SimNode, job: Job | undefined): Promise<void> {
    await this.#feed(node, await this.#forger.record(job, this.#network.timeline.now_ms));
  }

  async #feed(node: SimNode, { doc, record }: Stated): Promise<void> {
    const name = newArrayName(this.#keys.identity.peerId);
    const client = clientOf(name);
    this.#fed.set(client, encodeRun({ client, name, clock: 0, records: [record] }));
    await this.#call(node, 'announce', [doc, encodeVector(new Map([[client, 1]])), new Uint8Array(0)]);
  }

  async #call(node: SimNode, method: string, request: unknown): Promise<void> {
    const [transport, rpc, keys] = [this.#transport, this.#rpc, this.#keys];
    const link = await transport.dial(node.peer, [addressOf(node.index)], new AbortController().signal);
    const time_ms = Math.trunc(transport.clock.wall_ms());
    const { identity, issuers } = keys;
    const hello = { leaf: identity.der, issuers, time_ms, addresses: transport.addresses() };
    await rpc.call(node.peer, anyMethod('hello'), hello, { link });
    await rpc.call(node.peer, anyMethod(method), request, { link });
    if (method === 'vote' || method === 'fetch') {
      this.#watch.breaks('nobody reads what is not theirs', `${node.name} answered ${method}`);
    }
  }

  #request(method: string, job: Job | undefined): unknown {
    const id = job?.id ?? '00000000-0000-8000-8000-000000000000';
    const claims = job === undefined ? [] : [...job.begun];
    const own = `${this.#keys.identity.peerId}/00000000-0000-4000-8000-000000000000`;
    const claim = claims.length > 0 && this.#random.chance(0.7) ? this.#random.pick(claims) : own;
    const junk = this.#random.bytes(1 + this.#random.below(300));
    switch (method) {
      case 'settle':
      case 'seal':
        return { job: id, fact: junk, ...(method === 'seal' ? { handoff: null } : {}) };
      case 'abandon':
        return { job: id };
      case 'fetch':
        return { job: id, claim, offset: 0 };
      case 'vote': {
        // another claimant's permission, in its own name
        const grant = job?.grants.at(-1)?.grant ?? junk;
        return { job: id, epoch: 1, claim: own, permission: { grant } };
      }
      case 'announce':
        return ['directory', junk, this.#random.bytes(16)];
      case 'pull':
        return ['directory', junk, true];
      case 'records':
        return { doc: 'directory', ids: this.#random.bytes(32) };
      case 'store':
        return {
          ...{ job: id, epoch: 1, owner: 'ada', submitter: null, ticket: junk },
          share: this.#random.bytes(33),
        };
      default:
        return { job: id, epoch: 1, claim };
    }
  }
}
