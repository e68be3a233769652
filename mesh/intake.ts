/**
 * Updates on their way in: taken apart and judged, record by record, before anything of them gets into a document. What
 * is not as it must be is refused whole, so that no honest node ever keeps or relays it, and somebody is named for it.
 */
import type { Carrier } from './carrier.ts';
import type { Carriers } from './carriers.ts';
import { asInkmeshError, InkmeshError } from './errors.ts';
import { readFact } from './facts.ts';
import type { FactLedger, Verdict } from './ledger.ts';
import { carriedSlackBytes, maxRunsPerAuthor } from './limits.ts';
import { authorOf, decodeRun, type Run } from './update.ts';

type NamedRun = Run & { name: string };

/** What a document may carry: facts, and what may turn out to be one. */
const good: ReadonlySet<Verdict> = new Set(['fact', 'known', 'waits']);

export class Intake {
  readonly #carriers: Carriers;
  readonly #ledger: FactLedger;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(carriers: Carriers, ledger: FactLedger) {
    this.#carriers = carriers;
    this.#ledger = ledger;
  }

  /** One update at a time. @returns the client that has something new now, undefined when none has */
  take(doc: string, update: Uint8Array, from: string): Promise<number | undefined> {
    const taken = this.#queue.then(() => this.#take(doc, update, from));
    this.#queue = taken.catch(() => {});
    return taken;
  }

  async settled(): Promise<void> {
    await this.#queue;
  }

  async #take(doc: string, update: Uint8Array, from: string): Promise<number | undefined> {
    const carrier = this.#carriers.get(doc);
    let run: NamedRun | undefined;
    try {
      run = this.#fresh(doc, carrier, decodeRun(update));
    } catch (thrown) {
      this.#ledger.suspect(from, asInkmeshError(thrown).message);
      return undefined;
    }
    if (run === undefined) return undefined;
    const { client, name, records } = run;
    if (client === carrier.client) carrier.rotate();
    const verdicts = await this.#judge(doc, records, from);
    // after the judging, so that what these very records allow is counted
    const room = this.#hasRoom(doc, carrier, run);
    const repeated = verdicts.every((verdict) => verdict === 'known');
    if (verdicts.includes('refused') || (!room && repeated)) this.#carriers.bar(doc, client);
    // else anybody could use up an author's room with copies of what it has said
    const isCopy = run.clock === 0 && repeated && from !== authorOf(name);
    if (!room || isCopy || !verdicts.every((verdict) => good.has(verdict))) return undefined;
    // judging took a while, and a document that nobody used meanwhile may have been put away
    const now = this.#carriers.get(doc);
    if (now.clock(client) !== run.clock) return undefined;
    now.integrate({ client, name, clock: run.clock, records });
    this.#carriers.changed(doc);
    return client;
  }

  /** Up to the first that is bad: the rest of what somebody sends beside that is not worth the work. */
  async #judge(doc: string, records: readonly Uint8Array[], from: string): Promise<Verdict[]> {
    const verdicts: Verdict[] = [];
    for (const record of records) {
      const verdict = await this.#ledger.hear({ doc, record, from });
      verdicts.push(verdict);
      if (verdict === 'refused' || verdict === 'forged') break;
    }
    return verdicts;
  }

  /**
   * What of a run follows that which is here; undefined when nothing does.
   * @throws InkmeshError for what no honest node sends
   */
  #fresh(doc: string, carrier: Carrier, run: Run): NamedRun | undefined {
    const { client } = run;
    if (this.#carriers.barred(doc).has(client)) return undefined;
    const known = carrier.nameOf(client);
    const name = run.name ?? known;
    const have = carrier.clock(client);
    // a gap: what comes before was lost on its way, and is asked for again
    if (name === undefined || run.clock > have) return undefined;
    if (known !== undefined && known !== name) {
      // somebody has sought a name with another's client: whoever came first here, both are reconciled
      this.#carriers.bar(doc, client);
      return undefined;
    }
    const author = authorOf(name);
    for (const record of run.records) {
      const { fact } = readFact(record);
      if (fact.author !== author || fact.doc !== doc) {
        throw new InkmeshError('bad-request', 'a record is in another’s array, or another document');
      }
    }
    const records = run.records.slice(have - run.clock);
    return records.length === 0 ? undefined : { client, name, clock: have, records };
  }

  /** Whether an author may carry more: what is no more than repetition has an end. */
  #hasRoom(doc: string, carrier: Carrier, run: NamedRun): boolean {
    const author = authorOf(run.name) ?? '';
    const { runs, octets } = carrier.carriedOf(author);
    const more = run.records.reduce((sum, record) => sum + record.length, 0);
    return (run.clock > 0 || runs < maxRunsPerAuthor) &&
      octets + more <= 2 * this.#ledger.volume(doc, author).octets + carriedSlackBytes;
  }
}
