/** The door by which jobs come out: claim, begin, decrypt, deliver, settle. Also how one is cancelled. */
import { decode } from '../../mesh/codec.ts';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import type { Claim, JobBody, Mesh, Permission } from '../../mesh/mod.ts';
import { remember } from '../../mesh/remember.ts';
import { Deliverer, type DelivererOptions, type Delivery, type Outcome } from '../deliver/deliver.ts';
import { formatObstacle } from '../deliver/formats.ts';
import type { Printer } from '../directory.ts';
import { type JobOptions, jobOptionsSchema, ticketSchema } from '../job.ts';
import { printerLimits } from '../limits.ts';

/** What `inkmesh release --json` prints. Times are milliseconds since the release was asked for. */
export interface Released {
  id: string;
  outcome: 'printed' | 'sent' | 'failed' | 'interrupted' | 'refused';
  printer: string;
  claimed_ms: number | null;
  first_byte_ms: number | null;
  last_byte_ms: number | null;
  done_ms: number;
  reason?: string;
}

export interface ReleaseRequest {
  job: string;
  printer: Printer;
  permission: Permission;
  /** the grant's options, CBOR: they override the ticket's */
  options: Uint8Array;
  /** of the document, MIME media type, where it is known before the job is claimed */
  format?: string;
  onProgress?(sent: number, total: number): void;
  /** @param reason why nothing moves at the printer, for people; null when it goes on */
  onWaiting?(reason: string | null): void;
}

export interface ReleaseOptions extends DelivererOptions {
  /** how a printer can be asked how it is, beside its address */
  conditionOf?(printer: Printer): NonNullable<Delivery['condition']>;
  /** a printer as the directory has it now; throws for one that is removed */
  printerOf?(name: string): Printer;
}

export class ReleaseDoor {
  readonly #mesh: Mesh;
  readonly #options: ReleaseOptions;
  readonly #deliverer: Deliverer;
  readonly #stop = new AbortController();
  /** printers that have shown a certificate that is not the accepted one: which one was that */
  readonly #changed = new Map<string, string | undefined>();
  #active = 0;

  constructor(mesh: Mesh, options: ReleaseOptions = {}) {
    this.#mesh = mesh;
    this.#options = options;
    this.#deliverer = new Deliverer(options);
  }

  /** Releases and cancellations under way. */
  get active(): number {
    return this.#active;
  }

  /** Ends the deliveries under way: a job that has not begun is free again, one that has is interrupted. */
  abort(): void {
    this.#stop.abort();
  }

  /** Closes idle connections to printers. */
  close(): void {
    this.#deliverer.close();
  }

  /** What an administrator should do about printers, as sentences. */
  warnings(printers: readonly Printer[]): string[] {
    return printers.filter(({ name, fingerprint }) =>
      this.#changed.has(name) && this.#changed.get(name) === fingerprint
    ).map(({ name }) =>
      `the printer ${name} shows another certificate than the one that was accepted, so nothing is printed there: ` +
      `find out why, then run inkmesh printer accept ${name}`
    );
  }

  /** Prints a job. Whatever goes wrong is an outcome; only misuse throws. */
  async release(request: ReleaseRequest): Promise<Released> {
    const start_ms = performance.now();
    const since = (at_ms: number | undefined) => at_ms === undefined ? null : Math.round(at_ms - start_ms);
    const base = { id: request.job, printer: request.printer.name };
    this.#active++;
    try {
      refuseFormat(request);
      const claim = await this.#mesh.claimant.claim(request.job, request.permission, request.printer.name);
      const claimed_ms = since(performance.now());
      const outcome = await this.#deliver(claim, request);
      return {
        ...base,
        outcome: outcome.outcome,
        claimed_ms,
        first_byte_ms: since(outcome.firstByte_ms),
        last_byte_ms: since(outcome.lastByte_ms),
        done_ms: since(performance.now()) ?? 0,
        ...(outcome.reason === undefined ? {} : { reason: outcome.reason }),
      };
    } catch (thrown) {
      const { message } = this.#explained(request.job, asInkmeshError(thrown));
      const times = { claimed_ms: null, first_byte_ms: null, last_byte_ms: null };
      return {
        ...base,
        outcome: 'refused',
        ...times,
        done_ms: since(performance.now()) ?? 0,
        reason: message,
      };
    } finally {
      this.#active--;
    }
  }

  /** @throws InkmeshError when the job is not the asker's, is being printed, or is gone */
  async cancel(job: string, permission: Permission): Promise<void> {
    this.#active++;
    try {
      const claim = await this.#mesh.claimant.claim(job, permission, '');
      await claim.begin();
      await claim.settle('cancelled');
    } catch (thrown) {
      throw this.#explained(job, asInkmeshError(thrown));
    } finally {
      this.#active--;
    }
  }

  async #deliver(claim: Claim, request: ReleaseRequest): Promise<Outcome> {
    let begun = false;
    let { printer } = request;
    const { owner, bytes } = claim.job.body as JobBody;
    let outcome: Outcome;
    try {
      const ticket = decode(ticketSchema, claim.ticket);
      const chosen: JobOptions = request.options.length === 0
        ? {}
        : decode(jobOptionsSchema, request.options);
      const condition = this.#options.conditionOf?.(printer);
      const known = () => printer = this.#options.printerOf?.(printer.name) ?? printer;
      outcome = await this.#deliverer.deliver({
        printer,
        known,
        ticket: { ...ticket, options: { ...ticket.options, ...chosen } },
        user: owner,
        document: claim.document(),
        bytes,
        begin: async () => {
          known();
          await claim.begin();
          begun = true;
        },
        signal: this.#stop.signal,
        ...(condition === undefined ? {} : { condition }),
        onProgress: (sent) => request.onProgress?.(sent, bytes),
        onWaiting: (reason) => request.onWaiting?.(reason),
      });
    } catch (thrown) {
      const reason = asInkmeshError(thrown).message;
      outcome = { outcome: begun ? 'interrupted' : 'failed', reason };
    }
    this.#noteCertificate(printer, outcome);
    if (!begun) claim.yield();
    else {
      try {
        await claim.settle(outcome.outcome, outcome.reason);
      } catch (thrown) {
        // what came out came out; the holders keep the job as interrupted
        const { message } = asInkmeshError(thrown);
        return {
          ...outcome,
          reason: `${outcome.reason ?? ''} but that could not be recorded: ${message}`.trim(),
        };
      }
    }
    return outcome;
  }

  #noteCertificate({ name, fingerprint }: Printer, { outcome, wrongCertificate }: Outcome): void {
    if (wrongCertificate !== undefined) {
      remember(this.#changed, name, fingerprint, printerLimits.maxChanged);
    } else if (outcome === 'printed') this.#changed.delete(name);
  }

  /** A job that is gone is not just "not found": say what became of it. */
  #explained(job: string, error: InkmeshError): InkmeshError {
    const settled = this.#mesh.ledger.latest('settled', job)?.body as
      | { outcome: string; target: string }
      | undefined;
    if (error.code !== 'not-found' || settled === undefined) return error;
    const where = settled.target === '' ? '' : ` at ${settled.target}`;
    return new InkmeshError('not-found', `this job was ${settled.outcome} already${where}`);
  }
}

/** @throws InkmeshError `conflict` for a document that the printer is known not to take */
function refuseFormat({ format, printer }: ReleaseRequest): void {
  const obstacle = format === undefined ? undefined : formatObstacle(printer.formats ?? [], { format });
  if (obstacle !== undefined) throw new InkmeshError('conflict', obstacle);
}
