/** Jobs as lists show them: facts, and the tickets that awake holders hand to the owner. */
import { setTimeout as pause } from 'node:timers/promises';
import { decode } from '../../mesh/codec.ts';
import {
  type Fact,
  type JobBody,
  maxRetention_ms,
  type Mesh,
  type Piece,
  quorumOf,
  revokedSince,
  type SettledBody,
} from '../../mesh/mod.ts';
import { type JobState, type JobView, type Ticket, ticketSchema } from '../job.ts';

/** How long lists wait for holders, and then for claimants, that do not answer. */
const holderPatience_ms = 1500;
/** the same for those that a relay leads to, which may be gone or slow */
const relayPatience_ms = 300;

interface Known {
  /** a holder has said that it keeps the job */
  kept: boolean;
  ticket: Ticket | undefined;
  claim: string | null;
  begun: boolean;
  /** who has begun cannot be reached */
  away: boolean;
  /** a holder has said that nothing waits for a sleeping one any more */
  handed: boolean;
}

export class Jobs {
  readonly #mesh: Mesh;

  constructor(mesh: Mesh) {
    this.#mesh = mesh;
  }

  /**
   * The jobs of an owner, newest first.
   * @param proof the owner's signed request for this node to see tickets
   */
  async of(owner: string, proof: string): Promise<JobView[]> {
    const facts = this.#mesh.ledger.all('job').filter((fact) => (fact.body as JobBody).owner === owner);
    const known = await this.#ask(facts, proof);
    await this.#reach([...known.values()]);
    return facts.flatMap((fact) => this.view(fact, known.get(fact.subject)) ?? []).reverse();
  }

  /**
   * What was submitted with a token at this node: held here, or remembered of this run.
   * @param remembered job id -> ticket
   */
  async local(
    owner: string,
    remembered: ReadonlyMap<string, Ticket>,
    tokenHash: Uint8Array,
  ): Promise<JobView[]> {
    const bySubmitter = (piece: Piece) =>
      piece.submitter !== null && Buffer.from(piece.submitter.token).equals(tokenHash);
    const held = new Map(this.#mesh.custody.viewOf(owner, bySubmitter).map((piece) => [piece.job, piece]));
    const ids = [...new Set([...held.keys(), ...remembered.keys()])];
    const known = ids.map((id): Known => {
      const piece = held.get(id);
      const ticket = piece === undefined ? remembered.get(id) : decode(ticketSchema, piece.ticket);
      return {
        ...{ kept: piece !== undefined, ticket, away: false, handed: piece?.handoff === false },
        ...{ claim: piece?.claim ?? null, begun: piece?.begun ?? false },
      };
    });
    await this.#reach(known);
    return ids.flatMap((id, i) => {
      const fact = this.#mesh.ledger.first('job', id);
      return fact === undefined ? [] : this.view(fact, known[i]) ?? [];
    });
  }

  /** One job; undefined for one that was taken back before it was accepted. */
  view(fact: Fact, known: Known | undefined): JobView | undefined {
    const { ledger } = this.#mesh;
    const body = fact.body as JobBody;
    if (ledger.latest('withdrawn', fact.subject) !== undefined) return undefined;
    const settlements = ledger.about('settled', fact.subject).map((s) => s.body as SettledBody);
    const end = settlements.find((s) => s.outcome !== 'interrupted') ?? settlements.at(-1);
    const over = end !== undefined && end.outcome !== 'interrupted';
    const state = over ? end.outcome as JobState : this.#state(body, known, settlements);
    const ended = over || state === 'expired';
    const degraded = ended ? undefined : this.#degraded(body, known);
    return {
      id: fact.subject,
      owner: body.owner,
      title: known?.ticket?.title ?? null,
      site: fact.doc.split('/')[1] ?? '',
      state,
      bytes: body.bytes,
      format: known?.ticket?.format ?? null,
      options: known?.ticket?.options ?? null,
      submitted: new Date(fact.time_ms).toISOString(),
      expires: new Date(body.expires_ms).toISOString(),
      holders: body.holders.map((peer) => this.#mesh.nameOf(peer)),
      claims: ended ? [] : openClaims(known, settlements),
      ...(degraded === undefined ? {} : { degraded }),
      ...(end === undefined || end.target === '' ? {} : { printer: end.target }),
      ...(end === undefined || end.reason === '' ? {} : { reason: end.reason }),
    };
  }

  /** What has become of a job, step by step, for `job show`. */
  trace(fact: Fact): { at: string; what: string }[] {
    const body = fact.body as JobBody;
    const name = (peer: string) => this.#mesh.nameOf(peer);
    const awake = body.holders.filter((peer) => peer !== body.sleeper);
    const asleep = body.sleeper === null ? '' : `, and for ${name(body.sleeper)} when it wakes up`;
    const accepted = [
      { at: fact.time_ms, what: `accepted by ${name(fact.author)}` },
      { at: fact.time_ms, what: `stored on ${awake.map(name).join(', ')}${asleep}` },
    ];
    const ended = this.#mesh.ledger.about('settled', fact.subject).map((settled) => {
      const { outcome, target, reason } = settled.body as SettledBody;
      const at = target === '' ? '' : ` at ${target}`;
      const why = reason === '' ? '' : `: ${reason}`;
      return { at: settled.time_ms, what: `${outcome}${at} by ${name(settled.author)}${why}` };
    });
    return [...accepted, ...ended].map(({ at, what }) => ({ at: new Date(at).toISOString(), what }));
  }

  /** What a job lacks that three machines do not keep; undefined where nothing is lacking. */
  #degraded({ degraded, sleeper }: JobBody, known: Known | undefined): string | undefined {
    const lost = sleeper !== null && revokedSince(this.#mesh.ledger, 'node', sleeper) !== undefined;
    if (degraded === 'one') return 'not secret';
    if (degraded === 'two' || (lost && !known?.handed)) return 'one loss loses it';
    return sleeper === null || known?.handed ? undefined : `waiting for ${this.#mesh.nameOf(sleeper)}`;
  }

  #state(body: JobBody, known: Known | undefined, settlements: readonly SettledBody[]): JobState {
    // holders go by their own age, and wait for an owner's word: a job that one of them keeps has not expired
    const waits_ms = settlements.length > 0 ? maxRetention_ms : 0;
    if (!known?.kept && this.#mesh.now_ms() > body.expires_ms + waits_ms) return 'expired';
    if (known === undefined) return settlements.length > 0 ? 'interrupted' : 'held';
    if (known.claim === null) return 'held';
    if (!known.begun) return 'claimed';
    return known.away || settlements.some((s) => s.claim === known.claim) ? 'interrupted' : 'delivering';
  }

  /**
   * Asks the holders of unfinished jobs once, for as long as a quorum of some job has not answered: a claim that has
   * begun, at a quorum too, is not missed then. Begun anywhere counts more than a vote.
   */
  async #ask(facts: readonly Fact[], proof: string): Promise<Map<string, Known>> {
    const { ledger, holders } = this.#mesh;
    const open = facts.filter((fact) =>
      ledger.about('settled', fact.subject).every((s) => (s.body as SettledBody).outcome === 'interrupted')
    ).map((fact) => (fact.body as JobBody).holders);
    const known = new Map<string, Known>();
    const answered = new Set<string>();
    const enough = () =>
      open.every((peers) => peers.filter((peer) => answered.has(peer)).length >= quorumOf(peers));
    const ask = async (peer: string) => {
      const { pieces } = await holders(peer).view({ proof });
      answered.add(peer);
      for (const { job, ticket, claim, begun, handoff } of pieces) {
        const before = known.get(job);
        const handed = before?.handed || !handoff;
        const said = before !== undefined && (before.begun || (before.claim !== null && !begun));
        const now = said
          ? before
          : { kept: true, ticket: decode(ticketSchema, ticket), claim, begun, away: false };
        known.set(job, { ...now, handed });
      }
    };
    await patiently((done) => {
      const asked = [...new Set(open.flat())].map((peer) => ({
        peer,
        answer: ask(peer).then(() => enough() ? done() : undefined),
      }));
      void Promise.allSettled(asked.map(({ answer }) => answer)).then(done);
      const near = asked.filter(({ peer }) => this.#isNear(peer)).map(({ answer }) => answer);
      void Promise.allSettled([...near, pause(relayPatience_ms)]).then(done);
    });
    return known;
  }

  /** Whether a node can answer without a relay. */
  #isNear(peer: string): boolean {
    const { self, ledger } = this.#mesh;
    return ledger.identity(peer)?.site === self.site || this.#mesh.isDirect(peer);
  }

  /**
   * Finds out which claimants that have begun cannot be reached: they may be printing for all that holders know. One
   * that takes long to answer is not called away for that.
   */
  async #reach(known: readonly Known[]): Promise<void> {
    const begun = known.filter(({ begun, claim }) => begun && claim !== null);
    const claimants = Map.groupBy(begun, ({ claim }) => claim?.slice(0, claim.indexOf('/')) ?? '');
    await patiently((done) => {
      const asked = [...claimants].map(async ([peer, theirs]) => {
        for (const one of theirs) one.away = this.#mesh.isAway(peer);
        const away = !await this.#mesh.reaches(peer);
        for (const one of theirs) one.away = away;
      });
      void Promise.allSettled(asked).then(done);
    });
  }
}

/** Resolves when the work says so, or the patience of lists is over. */
async function patiently(work: (done: () => void) => void): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await new Promise<void>((done) => {
    timer = setTimeout(done, holderPatience_ms);
    work(done);
  });
  clearTimeout(timer);
}

/** What a reprint must confirm: the begun claim, or what facts say was interrupted while no holder can be asked. */
function openClaims(known: Known | undefined, settlements: readonly SettledBody[]): string[] {
  if (known === undefined) return settlements.map(({ claim }) => claim);
  return known.begun && known.claim !== null ? [known.claim] : [];
}
