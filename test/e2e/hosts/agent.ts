/**
 * What a test does on a machine other than running its node: commands of the command line, without a process for
 * each, and a RAW printer. Reads one JSON request a line on standard input, and answers with one a line.
 */
import { createHash, randomBytes } from 'node:crypto';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { Client } from '../../../src/cli/client.ts';
import { runInside } from '../../../src/cli/run.ts';
import { type Sink, type SinkOptions, startSink } from '../../fakes/sink.ts';

export type Request =
  /** a command without `inkmesh`; answered with its JSON */
  | { do: 'run'; argv: readonly string[] }
  /** answered with null when the printer listens */
  | { do: 'printer'; options: SinkOptions }
  /**
   * submits a document of noise whose second half waits for `finish`; answered when the first has been taken
   * @returns the SHA-256 of the document
   */
  | { do: 'print'; dir: string; credential: string; bytes: number }
  /** answered with what the node says; an error when it does not accept the job */
  | { do: 'finish' }
  /** ends the printer's stall; answered with null */
  | { do: 'go' }
  /** answered with `Printed` */
  | { do: 'printed' };

export type Printed = Pick<Sink, 'documents' | 'connections' | 'received'>;

export interface Reply {
  id: number;
  ok?: unknown;
  error?: string;
}

let sink: Sink | undefined;
let slow: SlowPrint | undefined;

/** A submission under way, by the client of the command line. */
class SlowPrint {
  readonly document: Uint8Array;
  readonly #accepted: Promise<unknown>;
  #go: () => void = () => {};
  #half: () => void = () => {};
  readonly halfTaken: Promise<void> = new Promise((resolve) => this.#half = resolve);
  readonly #told: Promise<void> = new Promise((resolve) => this.#go = resolve);

  constructor(client: Client, bytes: number) {
    this.document = randomBytes(bytes);
    const ticket = { title: 'noise', format: 'application/octet-stream', options: {} };
    this.#accepted = client.upload(`/v1/jobs?submission=${crypto.randomUUID()}`, this.#body(), {
      'inkmesh-ticket': Buffer.from(JSON.stringify(ticket)).toString('base64url'),
      'content-type': 'application/octet-stream',
    });
    this.#accepted.catch(() => {});
  }

  async *#body(): AsyncGenerator<Uint8Array> {
    const { document } = this;
    const step = 64 * 1024;
    for (let at = 0; at < document.length; at += step) {
      if (at >= document.length / 2) {
        this.#half();
        await this.#told;
      }
      yield document.subarray(at, at + step);
    }
  }

  finish(): Promise<unknown> {
    this.#go();
    return this.#accepted;
  }
}

function printer(): Sink {
  if (sink === undefined) throw new TypeError('no printer was started here');
  return sink;
}

async function answer(request: Request): Promise<unknown> {
  switch (request.do) {
    case 'run':
      return await runInside(request.argv);
    case 'printer':
      sink = await startSink(request.options);
      return null;
    case 'print':
      slow = new SlowPrint(await Client.open(request.dir, request.credential), request.bytes);
      await slow.halfTaken;
      return createHash('sha256').update(slow.document).digest('hex');
    case 'finish':
      return await slow?.finish();
    case 'go':
      printer().go();
      return null;
    case 'printed': {
      const { documents, connections, received } = printer();
      return { documents, connections, received };
    }
  }
}

function say(reply: Reply): void {
  process.stdout.write(JSON.stringify(reply) + '\n');
}

const requests = createInterface({ input: process.stdin });
requests.on('line', (text) => {
  const { id, ...request } = JSON.parse(text) as Request & { id: number };
  answer(request as Request).then(
    (ok) => say({ id, ok: ok ?? null }),
    (error: unknown) => say({ id, error: error instanceof Error ? error.message : String(error) }),
  );
});
requests.on('close', () => process.exit(0));
