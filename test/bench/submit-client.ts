/** Print clients that cost little themselves: one Print-Job per document, written as octets that were made before. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { encodeMessage, parseMessage } from '../../src/ipp/codec.ts';
import {
  attributesOf,
  charset,
  firstNumber,
  keyword,
  mimeMediaType,
  nameAttribute,
  naturalLanguage,
  uri,
} from '../../src/ipp/message.ts';
import { groups, operations, statusName } from '../../src/ipp/registry.ts';
import { readAnswer } from '../fakes/http-answer.ts';

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
}

export class SubmitClient {
  readonly #url: URL;
  readonly #request: Uint8Array;
  readonly #keepAlive: boolean;
  #socket: Socket | undefined;

  constructor({ printer, document, keepAlive }: ClientOptions) {
    this.#url = new URL(printer.replace(/^ipp/, 'http'));
    this.#keepAlive = keepAlive;
    const head = message(printer);
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
    const socket = this.#socket ?? await this.#connect();
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

  async #connect(): Promise<Socket> {
    const where = { host: this.#url.hostname, port: Number(this.#url.port) };
    const secure = this.#url.protocol === 'https:';
    const socket = secure ? connectTls({ ...where, rejectUnauthorized: false }) : connect(where);
    await once(socket, secure ? 'secureConnect' : 'connect');
    socket.on('error', () => {});
    return socket;
  }
}

/** Held until it is released: cupsd would print it at once otherwise. */
function message(printer: string): Uint8Array {
  return encodeMessage({
    version: 0x0101,
    code: operations['Print-Job'],
    requestId: 1,
    groups: [{
      tag: groups['operation-attributes-tag'],
      attributes: [
        charset('attributes-charset', 'utf-8'),
        naturalLanguage('attributes-natural-language', 'en'),
        uri('printer-uri', printer),
        nameAttribute('job-name', 'Quarterly figures of the north'),
        mimeMediaType('document-format', 'application/octet-stream'),
      ],
    }, {
      tag: groups['job-attributes-tag'],
      attributes: [keyword('job-hold-until', 'indefinite')],
    }],
  });
}

function read(body: Uint8Array): Answered {
  const reply = parseMessage(body);
  const job = firstNumber(attributesOf(reply, groups['job-attributes-tag']), 'job-id');
  return { status: statusName(reply.code), job };
}
