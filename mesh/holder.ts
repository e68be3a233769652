/** A holder as the accepting node and the claimant see it: this node's own custody, or another node's by RPC. */
import type { Custody } from './custody.ts';
import type { Handoff } from './handoff.ts';
import { storeAnswer_ms } from './limits.ts';
import {
  abandonMethod,
  type AbandonRequest,
  beginMethod,
  type BeginReply,
  type ClaimRequest,
  fetchMethod,
  type FetchRequest,
  findMethod,
  type FindReply,
  type FindRequest,
  handoffMethod,
  type HandoffRequest,
  sealMethod,
  type SealRequest,
  settleMethod,
  type SettleRequest,
  storeMethod,
  type StoreRequest,
  viewMethod,
  type ViewReply,
  type ViewRequest,
  voteMethod,
  type VoteReply,
  type VoteRequest,
  yieldMethod,
} from './protocol.ts';
import type { Body, Rpc } from './rpc.ts';

export interface Holder {
  readonly peer: string;
  store(request: StoreRequest, body: Body, signal: AbortSignal): Promise<{ envelopeBytes: number }>;
  seal(request: SealRequest): Promise<void>;
  abandon(request: AbandonRequest): Promise<void>;
  vote(request: VoteRequest): Promise<VoteReply>;
  begin(request: ClaimRequest): Promise<BeginReply>;
  yield(request: ClaimRequest): Promise<void>;
  settle(request: SettleRequest): Promise<void>;
  fetch(request: FetchRequest): Promise<Body>;
  view(request: ViewRequest): Promise<ViewReply>;
  find(request: FindRequest, signal: AbortSignal): Promise<FindReply>;
  handoff(request: HandoffRequest, body: Body): Promise<void>;
}

export type Holders = (peer: string) => Holder;

/** Holders by PeerId: the node's own custody for itself, RPC for all others. */
export function holdersOf(self: string, custody: Custody, rpc: Rpc): Holders {
  return (peer) => peer === self ? localHolder(self, custody) : remoteHolder(peer, rpc);
}

function localHolder(self: string, custody: Custody): Holder {
  return {
    peer: self,
    store: (request, body) => custody.store(self, request, body),
    seal: (request) => custody.seal(self, request),
    abandon: (request) => custody.abandon(self, request),
    vote: (request) => custody.vote(self, request),
    begin: (request) => custody.begin(self, request),
    yield: (request) => custody.yield(self, request),
    settle: (request) => custody.settle(self, request),
    fetch: (request) => Promise.resolve().then(() => custody.fetch(self, request)),
    view: (request) => custody.view(self, request),
    find: (request) => custody.fence.find(self, request),
    handoff: () => Promise.reject(new TypeError('a node hands nothing over to itself')),
  };
}

function remoteHolder(peer: string, rpc: Rpc): Holder {
  return {
    peer,
    store: async (request, body, signal) =>
      (await rpc.call(peer, storeMethod, request, { body, signal, timeout_ms: storeAnswer_ms })).reply,
    seal: async (request) => void await rpc.call(peer, sealMethod, request),
    abandon: async (request) => void await rpc.call(peer, abandonMethod, request),
    vote: async (request) => (await rpc.call(peer, voteMethod, request)).reply,
    begin: async (request) => (await rpc.call(peer, beginMethod, request)).reply,
    yield: async (request) => void await rpc.call(peer, yieldMethod, request),
    settle: async (request) => void await rpc.call(peer, settleMethod, request),
    fetch: async (request) => (await rpc.call(peer, fetchMethod, request)).body,
    view: async (request) => (await rpc.call(peer, viewMethod, request)).reply,
    find: async (request, signal) => (await rpc.call(peer, findMethod, request, { signal })).reply,
    handoff: async (request, body) =>
      void await rpc.call(peer, handoffMethod, request, { body, timeout_ms: storeAnswer_ms }),
  };
}

/** Serves the methods of a holder. */
export async function serveCustody(rpc: Rpc, custody: Custody, handoff: Handoff): Promise<void> {
  await rpc.handle(
    handoffMethod,
    async (c) => (await handoff.take(c.from, c.request, c.body), { reply: {} }),
  );
  await rpc.handle(storeMethod, async (c) => ({ reply: await custody.store(c.from, c.request, c.body) }));
  await rpc.handle(sealMethod, async (c) => (await custody.seal(c.from, c.request), { reply: {} }));
  await rpc.handle(abandonMethod, async (c) => (await custody.abandon(c.from, c.request), { reply: {} }));
  await rpc.handle(voteMethod, async (c) => ({ reply: await custody.vote(c.from, c.request) }));
  await rpc.handle(beginMethod, async (c) => ({ reply: await custody.begin(c.from, c.request) }));
  await rpc.handle(yieldMethod, async (c) => (await custody.yield(c.from, c.request), { reply: {} }));
  await rpc.handle(settleMethod, async (c) => (await custody.settle(c.from, c.request), { reply: {} }));
  await rpc.handle(fetchMethod, async (c) => ({ reply: {}, body: await custody.fetch(c.from, c.request) }));
  await rpc.handle(findMethod, async (c) => ({ reply: await custody.fence.find(c.from, c.request) }));
  await rpc.handle(viewMethod, async (c) => ({ reply: await custody.view(c.from, c.request) }));
}
