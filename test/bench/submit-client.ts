/** Print clients that cost little themselves: one Print-Job per document, written as octets that were made before. */
import type { Socket } from 'node:net';
import { parseMessage } from '../../src/ipp/codec.ts';
import { attributesOf, firstNumber, keyword } from '../../src/ipp/message.ts';
import { groups, statusName } from '../../src/ipp/registry.ts';
import { connectTo, readAnswer } from '../fakes/http-answer.ts';
import { printJobHead } from '../fakes/print-job.ts';

export interface Answered {
  /** the keyword of the IPP status */
  status: string;
  /** job-id, of a job that was made */
  job: number | undefined;
}

export interface ClientOptions {
  /** ipp: or ipps: URI; the certificate is not checked */
  printer: string;
  document: Uint8Array;
  /** all documents go over one connection; else each has its own, as those of most print dialogs have */
  keepAlive: boolean;
  /** MIME media type, application/octet-stream unless told */
  format?: string;
}

export class SubmitClient {
  readonly #url: URL;
  readonly #request: Uint8Array;
  readonly #keepAlive: boolean;
  #socket: Socket | undefined;

  constructor({ printer, document, keepAlive, format }: ClientOptions) {
    this.#url = new URL(printer.replace(/^ipp/, 'http'));
    this.#keepAlive = keepAlive;
    // held until it is released: cupsd would print it at once otherwise
    const head = printJobHead(printer, {
      job: [keyword('job-hold-until', 'indefinite')],
      ...(format === undefined ? {} : { format }),
    });
    const lines = [
      `POST ${this.#url.pathname} HTTP/1.1`,
      `Host: ${this.#url.host}`,
      'Content-Type: application/ipp',
      `Content-Length: ${head.length + document.length}`,
    ];
    this.#request = Buffer.concat([Buffer.from(lines.join('\r\n') + '\r\n\r\n'), head, document]);
  }

  /** Submits the document once. @throws Error when the connection breaks, or the answer is no IPP */
  async submit(): Promise<Answered> {
    const socket = this.#socket ?? await connectTo(this.#url);
    this.#socket = this.#keepAlive ? socket : undefined;
    try {
      socket.write(this.#request);
      const answer = await readAnswer(socket);
      if (answer?.status !== 200) throw new Error(`the answer is HTTP ${answer?.status ?? 'missing'}`);
      return read(answer.body);
    } finally {
      if (!this.#keepAlive) socket.destroy();
    }
  }

  close(): void {
    this.#socket?.destroy();
  }
}

function read(body: Uint8Array): Answered {
  const reply = parseMessage(body);
  const job = firstNumber(attributesOf(reply, groups['job-attributes-tag']), 'job-id');
  return { status: statusName(reply.code), job };
}
