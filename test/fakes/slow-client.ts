/** A client that submits over plain IPP at the pace of a test, and may break off in mid-document. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { printJobHead } from './print-job.ts';

export interface SlowClient {
  /** Sends octets of the document; resolves when they have left this process. */
  send(octets: Uint8Array): Promise<void>;
  /** Ends the document and waits for the answer. @returns the IPP status code */
  finish(): Promise<number>;
  /** The IPP status code of the answer, whenever it comes. @throws Error when the connection ends without one */
  readonly answer: Promise<number>;
  /** Resets the connection. */
  breakOff(): void;
}

/**
 * Opens a connection and sends all of a Print-Job request but its document (RFC 8011 section 4.2.1).
 * @param printer ipp: URI with the token
 */
export async function submitSlowly(printer: string, title: string): Promise<SlowClient> {
  const url = new URL(printer.replace(/^ipp:/, 'http:'));
  const socket = connect({ host: url.hostname, port: Number(url.port) });
  await once(socket, 'connect');
  const answer = answerOf(socket);
  // whoever breaks off does not ask for it
  answer.catch(() => {});
  const write = (octets: Uint8Array) =>
    new Promise<void>((resolve, reject) =>
      socket.write(octets, (error) => error ? reject(error) : resolve())
    );
  const send = (octets: Uint8Array) =>
    write(Buffer.concat([Buffer.from(`${octets.length.toString(16)}\r\n`), octets, Buffer.from('\r\n')]));
  const head = [
    `POST ${url.pathname} HTTP/1.1`,
    `Host: ${url.host}`,
    'Content-Type: application/ipp',
    'Transfer-Encoding: chunked',
    'Connection: close',
  ];
  await write(Buffer.from(head.join('\r\n') + '\r\n\r\n'));
  await send(printJobHead(printer, { title }));
  return {
    send,
    finish: async () => {
      await write(Buffer.from('0\r\n\r\n'));
      return await answer;
    },
    answer,
    breakOff: () => void socket.resetAndDestroy(),
  };
}

async function answerOf(socket: AsyncIterable<Uint8Array>): Promise<number> {
  let received = Buffer.alloc(0);
  let cause: unknown;
  try {
    for await (const part of socket) received = Buffer.concat([received, part]);
  } catch (thrown) {
    cause = thrown;
  }
  // the kernel of a killed process ends its connections either way, with a reset or without
  if (received.length === 0) throw new Error('the connection broke before the answer', { cause });
  const text = received.toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  const [, status] = /^HTTP\/1\.1 (\d+)/.exec(text) ?? [];
  if (status !== '200' || end < 0) {
    throw new Error(`the answer is no IPP: ${JSON.stringify(text.slice(0, 200))}`);
  }
  const chunked = /\r\ntransfer-encoding: chunked\r\n/i.test(text.slice(0, end + 2));
  const body = chunked ? text.indexOf('\r\n', end + 4) + 2 : end + 4;
  return received.readUInt16BE(body + 2);
}
