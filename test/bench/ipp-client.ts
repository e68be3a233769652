/** A client that submits a document by one Print-Job request, as fast as it is taken. */
import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { printJobHead } from '../fakes/print-job.ts';

/**
 * Resolves when the printer has accepted the job (RFC 8011 section 4.2.1).
 * @param printer ipp: or ipps: URI with the token; its certificate is not checked
 * @throws Error unless the answer is successful-ok
 */
export async function printJob(printer: string, document: Uint8Array): Promise<void> {
  const secure = printer.startsWith('ipps:');
  const url = new URL(printer.replace(/^ipp/, 'http'));
  const head = printJobHead(printer);
  const options = {
    host: url.hostname,
    port: url.port,
    path: url.pathname,
    method: 'POST',
    agent: false as const,
    headers: { 'content-type': 'application/ipp', 'content-length': head.length + document.length },
  };
  const request = secure ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  answered.catch(() => {});
  request.write(head);
  const pieceBytes = 256 * 1024;
  for (let at = 0; at < document.length; at += pieceBytes) {
    if (!request.write(document.subarray(at, at + pieceBytes))) await once(request, 'drain');
  }
  request.end();
  const [answer] = await answered;
  const parts: Uint8Array[] = [];
  for await (const part of answer) parts.push(part as Uint8Array);
  const status = Buffer.concat(parts).readUInt16BE(2);
  if (answer.statusCode !== 200 || status !== 0) {
    throw new Error(`the answer is HTTP ${answer.statusCode}, IPP ${status}`);
  }
}
