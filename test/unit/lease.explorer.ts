/**
 * Every interleaving, within small bounds, of three holders and of claimants that follow the rules. A message
 * once sent may reach each holder at any time, in any order, again, or never. So may a reply: a claimant sees
 * any of those that were made. One that does nothing more has crashed, and one that restarts takes another
 * claim. Before any vote a holder may restart, or the vote that it has lapse. The order of the holders means
 * nothing: they are kept sorted.
 */
import * as assert from 'uvu/assert';
import {
  type afterRestart,
  emptyLease,
  type Lease,
  type LeaseEvent,
  type next,
  type Outcome,
} from '../../mesh/lease.ts';

export const lease_ms = 10;
export const vote = (
  claim: string,
  nonce: string,
  confirm: string[] = [],
  now_ms = 0,
  target = 'p1',
): LeaseEvent => ({
  type: 'vote',
  claim,
  nonce,
  target,
  confirm,
  now_ms,
  lease_ms,
});
export const begin = (claim: string): LeaseEvent => ({ type: 'begin', claim });
export const yields = (claim: string): LeaseEvent => ({ type: 'yield', claim });
export const settle = (claim: string, outcome: Outcome): LeaseEvent => ({ type: 'settle', claim, outcome });

const phases = [
  'idle',
  'voting',
  'beginning',
  'past',
  'yielded',
  'yielded late',
  'failed',
  'interrupted',
  'printed',
];
const [idle, voting, beginning, past, yielded, yieldedLate] = [0, 1, 2, 3, 4, 5] as const;
export const [failed, interrupted, printed] = [6, 7, 8] as const;

const kinds = [
  'vote',
  'vote after restart',
  'begin',
  'yield',
  'failed',
  'interrupted',
  'printed',
  'forget',
] as const;
type Kind = typeof kinds[number];
const forget = kinds.indexOf('forget');
/** What may be on its way for a claim in each phase, as indices of `kinds`. */
const messages = phases.map((phase) => {
  const sent = ['vote', 'vote after restart', 'begin', phase.startsWith('yielded') ? 'yield' : phase];
  if (phase === 'voting' || phase === 'yielded') sent.splice(2, 1);
  return phase === 'idle'
    ? []
    : sent.map((kind) => kinds.findIndex((k) => k === kind)).filter((kind) => kind >= 0);
});

export interface World {
  /** at most three; a claimant may start any of its claims at any time */
  claims: { claim: string; nonce: string; confirm?: string[] }[];
  /** the phases in which a claim past begin may end */
  endings: number[];
  next: typeof next;
  afterRestart: typeof afterRestart;
  countsLateReplies: boolean;
}

const quorum = 2;
const maxStates = 2 ** 22;
const maxHolderStates = 2 ** 10;

export class Explorer {
  readonly world: World;
  /** states of one holder: its lease, and a bit for each claim whose claimant awaits what it has answered */
  readonly holders: { lease: Lease; answered: number }[] = [];
  readonly holderIds = new Map<string, number>();
  readonly moves: number[][] = [];
  readonly verdicts: boolean[] = [];
  /** states of all: three holders of 10 bits, three phases of 4 bits, and the state that each came from */
  readonly holdersOf = new Int32Array(maxStates);
  readonly phasesOf = new Int32Array(maxStates);
  readonly cameFrom = new Int32Array(maxStates);
  readonly table = new Int32Array(2 * maxStates);
  states = 0;
  /** the most claims seen past begin and not failed */
  most = 0;

  constructor(world: World) {
    this.world = world;
  }

  /** Visits every state; the way to the first that breaks the invariant, if one does. */
  explore(): string[] | undefined {
    const start = this.holder({ ...emptyLease }, 0);
    this.add(start, start, start, 0, -1);
    for (let at = 0; at < this.states; at++) {
      if (!this.holds(this.phasesOf[at]!)) return this.trace(at);
      this.expand(at);
    }
    return undefined;
  }

  holds(packed: number): boolean {
    const known = this.verdicts[packed];
    if (known !== undefined) return known;
    const phasesNow = this.world.claims.map((_, c) => packed >> 4 * c & 15);
    const out =
      phasesNow.filter((phase) => phase === past || phase === interrupted || phase === printed).length;
    const confirmed = new Set(
      this.world.claims.flatMap((c, i) => phasesNow[i] === idle ? [] : c.confirm ?? []),
    );
    this.most = Math.max(this.most, out);
    return this.verdicts[packed] = out <= 1 + confirmed.size;
  }

  expand(at: number): void {
    const packed = this.phasesOf[at]!;
    const three = this.holdersOf[at]!;
    const x = three >> 20, y = three >> 10 & 1023, z = three & 1023;
    const late = this.world.countsLateReplies ? yieldedLate : undefined;
    for (let c = 0; c < this.world.claims.length; c++) {
      const phase = packed >> 4 * c & 15;
      const answers = this.answer(x, c) + this.answer(y, c) + this.answer(z, c);
      for (const to of this.choices(phase, answers >= quorum)) {
        const [u, v, w] = [x, y, z].map((id) => to === late ? id : this.move(id, c, forget, false));
        this.add(u!, v!, w!, packed & ~(15 << 4 * c) | to << 4 * c, at);
      }
      for (const message of messages[phase]!) {
        const listens = kinds[message] === 'begin' ? phase === beginning || phase === late : phase === voting;
        const u = this.move(x, c, message, listens);
        const v = this.move(y, c, message, listens);
        const w = this.move(z, c, message, listens);
        if (u !== x) this.add(u, y, z, packed, at);
        if (v !== y) this.add(x, v, z, packed, at);
        if (w !== z) this.add(x, y, w, packed, at);
      }
    }
  }

  /** 1 if the holder has answered what the claimant of claim `c` awaits, else 0 */
  answer(id: number, c: number): number {
    return this.holders[id]!.answered >> c & 1;
  }

  choices(phase: number, hasQuorum: boolean): number[] {
    if (phase === idle) return [voting];
    if (phase === voting) return hasQuorum ? [beginning, yielded] : [yielded];
    if (phase === beginning) return hasQuorum ? [past, yieldedLate] : [yieldedLate];
    if (phase === past) return this.world.endings;
    return phase === yieldedLate && hasQuorum && this.world.countsLateReplies ? [past] : [];
  }

  /** The holder after a message about claim `c`, or (`forget`) once its claimant awaits something else. */
  move(id: number, c: number, message: number, listens: boolean): number {
    const code = (message * 2 + (listens ? 1 : 0)) * 4 + c;
    return this.moves[id]![code] ??= this.moved(this.holders[id]!, c, kinds[message]!, listens);
  }

  moved(
    { lease, answered }: { lease: Lease; answered: number },
    c: number,
    kind: Kind,
    listens: boolean,
  ): number {
    const bit = 1 << c;
    if (kind === 'forget') return this.holder(lease, answered & ~bit);
    const found = kind === 'vote after restart' ? this.world.afterRestart(lease) : lease;
    const after = this.world.next(found, this.event(c, kind));
    const yes = listens && (after.answer.type === 'granted' || after.answer.type === 'begun');
    return this.holder(after.lease, yes ? answered | bit : answered);
  }

  event(c: number, kind: Exclude<Kind, 'forget'>): LeaseEvent {
    const { claim, nonce, confirm } = this.world.claims[c]!;
    if (kind === 'vote' || kind === 'vote after restart') return vote(claim, nonce, confirm);
    if (kind === 'begin') return begin(claim);
    return kind === 'yield' ? yields(claim) : settle(claim, kind);
  }

  holder({ vote, refused, nonces, erased }: Lease, answered: number): number {
    const sorted = {
      vote,
      refused: refused.toSorted(),
      nonces: nonces.toSorted((a, b) => a.nonce < b.nonce ? -1 : 1),
    };
    const key = JSON.stringify([sorted, erased, answered]);
    const known = this.holderIds.get(key);
    if (known !== undefined) return known;
    assert.ok(this.holders.length < maxHolderStates);
    this.holderIds.set(key, this.holders.length);
    this.moves.push([]);
    return this.holders.push({ lease: { ...sorted, erased }, answered }) - 1;
  }

  add(x: number, y: number, z: number, packed: number, from: number): void {
    const low = Math.min(x, y, z), high = Math.max(x, y, z);
    const three = low << 20 | x + y + z - low - high << 10 | high;
    let slot = (Math.imul(three, 0x9e3779b1) ^ Math.imul(packed, 0x85ebca6b)) >>> 0;
    for (slot ^= slot >>> 15;; slot++) {
      slot &= this.table.length - 1;
      const at = this.table[slot]! - 1;
      if (at < 0) break;
      if (this.holdersOf[at] === three && this.phasesOf[at] === packed) return;
    }
    assert.ok(this.states < maxStates);
    this.holdersOf[this.states] = three;
    this.phasesOf[this.states] = packed;
    this.cameFrom[this.states] = from;
    this.table[slot] = ++this.states;
  }

  trace(at: number): string[] {
    const ids = (three: number) => [three >> 20, three >> 10 & 1023, three & 1023];
    const votes = ids(this.holdersOf[at]!).map((id) => JSON.stringify(this.holders[id]!.lease.vote));
    const state = this.world.claims.map((_, c) => phases[this.phasesOf[at]! >> 4 * c & 15]);
    return [...(at === 0 ? [] : this.trace(this.cameFrom[at]!)), `${state.join(', ')}: ${votes.join(' ')}`];
  }
}
