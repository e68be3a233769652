/** An IppDoor that keeps nothing but digests, and the servers that tests reach it by. */
import { createHash } from 'node:crypto';
import { Hono } from 'hono';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Log } from '../../mesh/mod.ts';
import type { JobState, JobView, Ticket } from '../../src/job.ts';
import type { ListenLimits } from '../../src/limits.ts';
import { listen } from '../../src/listen.ts';
import { httpApp } from '../../src/submit/http.ts';
import { ippApp, type IppDoor } from '../../src/submit/ipp.ts';
import type { Client, Shown } from '../../src/submit/source.ts';

export interface Submitted {
  job: string;
  ticket: Ticket;
  sha256: string;
  bytes: number;
  state: JobState;
  submitted: string;
}

export const token = 'tok-0123456789abcdef';

export class MemoryDoor implements IppDoor {
  readonly queue = { name: 'Office', uuid: '8a1a6c1e-6f0b-4f0b-9a52-1d5f4a6a3c11', organisation: 'Example' };
  readonly submitted: Submitted[] = [];
  /** octets of documents */
  read = 0;
  /** documents that broke off */
  failed = 0;
  maxDocumentBytes = 512 * 1024 * 1024;
  /** awaited before the next chunk is read */
  pace: () => Promise<void> = () => Promise.resolve();
  /** what the job becomes once it is stored */
  stateAfter: JobState = 'held';
  aborted = 0;

  /** Reads no more than one chunk of a document. @returns what lets it go on */
  shut(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.pace = () => promise;
    return resolve;
  }

  owner(shown: Shown): Promise<{ user: string } | undefined> {
    const known = shown.token === token && (shown.user === null || shown.user === 'ada');
    return Promise.resolve(known ? { user: 'ada' } : undefined);
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  newJobId(): string {
    return crypto.randomUUID();
  }

  async submit(
    _client: Client,
    job: string,
    ticket: Ticket,
    document: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const hash = createHash('sha256');
    let bytes = 0;
    signal.addEventListener('abort', () => this.aborted += 1, { once: true });
    try {
      for await (const chunk of document) {
        hash.update(chunk);
        bytes += chunk.length;
        this.read += chunk.length;
        await this.pace();
      }
    } catch (thrown) {
      this.failed += 1;
      throw thrown;
    }
    const submitted = new Date().toISOString();
    this.submitted.push({
      job,
      ticket,
      sha256: hash.digest('hex'),
      bytes,
      state: this.stateAfter,
      submitted,
    });
  }

  jobs(): Promise<JobView[]> {
    return Promise.resolve(this.submitted.map((kept) => ({
      id: kept.job,
      owner: 'ada',
      title: kept.ticket.title,
      site: 'a',
      state: kept.state,
      bytes: kept.bytes,
      format: kept.ticket.format,
      options: kept.ticket.options,
      submitted: kept.submitted,
      expires: kept.submitted,
      holders: [],
      claims: [],
    })));
  }

  cancel(_client: Client, job: string): Promise<void> {
    const kept = this.submitted.find((kept) => kept.job === job);
    if (kept === undefined) throw new InkmeshError('not-found', 'there is no such job');
    kept.state = 'cancelled';
    return Promise.resolve();
  }
}

export interface Served {
  port: number;
  /** ipp: or ipps: */
  uri: string;
  /** what the front wrote into its log */
  readonly logged: Record<string, unknown>[];
  close(): Promise<void>;
}

/** Serves the door on 127.0.0.1, with TLS when there are a key and a certificate (PEM). */
export async function serveDoor(
  door: IppDoor,
  tls?: { key: string; cert: string },
  limits?: ListenLimits,
  port = 0,
): Promise<Served> {
  const logged: Served['logged'] = [];
  const log: Log = (_level, what, fields) => void logged.push({ what, ...fields });
  const { fetch } = new Hono().route('/', ippApp(door, log)).route('/', httpApp(door, log));
  const secure = tls === undefined ? {} : { tls };
  const listening = await listen({ fetch, address: '127.0.0.1', port, what: 'a test', ...secure }, limits);
  return {
    port: listening.port,
    uri: `${tls === undefined ? 'ipp' : 'ipps'}://localhost:${listening.port}/ipp/print/${token}`,
    logged,
    close: async () => {
      const closed = listening.close();
      listening.kill();
      await closed;
    },
  };
}
