/** An enrolled node that follows no rule: it is a member, and calls what it likes. */
import * as v from 'valibot';
import { type Method, Rpc } from '../../mesh/rpc.ts';
import { type Life, Machine } from './clock.ts';
import type { SimNetwork, SimTransport } from './network.ts';
import { addressOf, type SimNode } from './node.ts';
import type { SimKeys } from './org.ts';
import type { Random } from './random.ts';
import type { Job } from './watch.ts';

const anyMethod = (name: string): Method<v.UnknownSchema, v.UnknownSchema> => ({
  name,
  request: v.unknown(),
  reply: v.unknown(),
  admission: 'anyone',
  maxBytes: 2 ** 20,
});

const attacks = [
  'begin',
  'yield',
  'settle',
  'seal',
  'abandon',
  'store',
  'fetch',
  'announce',
  'pull',
  'records',
];

export class Rogue {
  readonly #network: SimNetwork;
  readonly #random: Random;
  #keys: SimKeys | undefined;
  #transport: SimTransport | undefined;
  #rpc: Rpc | undefined;

  constructor(network: SimNetwork, random: Random) {
    this.#network = network;
    this.#random = random;
  }

  enter(keys: SimKeys, index: number): void {
    const machine = new Machine(this.#network.timeline);
    const life: Life = machine.start();
    const clock = machine.clock(life);
    this.#keys = keys;
    const host = { peer: keys.identity.peerId, name: 'rogue', machine, life };
    this.#transport = this.#network.attach(host, addressOf(index), clock);
    this.#rpc = new Rpc(this.#transport, clock, () => {});
  }

  /** Does something to a node that it may not. */
  act(node: SimNode, jobs: readonly Job[]): void {
    const job = jobs.length === 0 ? undefined : this.#random.pick(jobs.slice(-4));
    const method = this.#random.pick(attacks);
    const request = this.#request(method, job);
    this.#call(node, method, request).catch(() => {});
  }

  async #call(node: SimNode, method: string, request: unknown): Promise<void> {
    const [transport, rpc, keys] = [this.#transport!, this.#rpc!, this.#keys!];
    const link = await transport.dial(node.peer, [addressOf(node.index)], new AbortController().signal);
    const time_ms = Math.trunc(transport.clock.wall_ms());
    const { identity, issuers } = keys;
    const hello = { leaf: identity.der, issuers, time_ms, addresses: transport.addresses(), peers: [] };
    await rpc.call(node.peer, anyMethod('hello'), hello, { link });
    await rpc.call(node.peer, anyMethod(method), request, { link });
  }

  #request(method: string, job: Job | undefined): unknown {
    const id = job?.id ?? '00000000-0000-8000-8000-000000000000';
    const claims = job === undefined ? [] : [...job.begun];
    const own = `${this.#keys!.identity.peerId}/00000000-0000-4000-8000-000000000000`;
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
      case 'announce':
        return { doc: 'directory', vector: junk, facts: this.#random.bytes(16) };
      case 'pull':
        return { doc: 'directory', vector: junk, all: true };
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
