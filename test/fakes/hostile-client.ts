/** Sends what a hostile client sends, and finds out what became of it. */
import type { Socket } from 'node:net';
import type { Hostile } from './fuzz-requests.ts';
import { connectTo, type HttpAnswer, readAnswer } from './http-answer.ts';

/** a server that neither answers nor ends the connection by then hangs */
const answer_ms = 30_000;

export class HostileClient {
  readonly #url: URL;
  /** of requests in whole HTTP, while the server keeps it */
  #line: Socket | undefined;

  /** @param printer ipp: or ipps: URI */
  constructor(printer: string) {
    this.#url = new URL(printer.replace(/^ipp/, 'http'));
  }

  /**
   * @returns the IPP status code if IPP is what was answered, null for another answer or none
   * @throws Error when nothing happens
   */
  async send({ name, octets, ends }: Hostile): Promise<number | null> {
    const socket = (ends === 'whole' ? this.#line : undefined) ?? await connectTo(this.#url);
    this.#line = undefined;
    let late: ReturnType<typeof setTimeout> | undefined;
    const hangs = new Promise<never>((_, reject) => {
      late = setTimeout(() => reject(new Error(`nothing happens after ${name}`)), answer_ms);
    });
    try {
      const answered = readAnswer(socket);
      // broken off when this machine has taken it, so that some of it is read
      socket.write(octets, () => {
        if (ends === 'reset') socket.resetAndDestroy();
      });
      if (ends === 'fin') socket.end();
      const answer = await Promise.race([answered, hangs]);
      if (ends === 'fin') await Promise.race([closed(socket), hangs]);
      if (ends === 'whole' && answer !== undefined && !socket.destroyed) this.#line = socket;
      return statusOf(answer);
    } finally {
      clearTimeout(late);
      if (this.#line === undefined) socket.destroy();
    }
  }

  close(): void {
    this.#line?.destroy();
  }
}

async function closed(socket: Socket): Promise<void> {
  // what comes after the answer is of no interest, but must be read for the end to be seen
  socket.resume();
  if (socket.destroyed || socket.readableEnded) return;
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
}

function statusOf(answer: HttpAnswer | undefined): number | null {
  if (answer?.status !== 200 || answer.body.length < 8) return null;
  return Buffer.from(answer.body).readUInt16BE(2);
}
