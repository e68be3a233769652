/** IPP over HTTP/1.1 to one printer (RFC 8010 section 4): one connection after the other, each checked before use. */
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import { InkmeshError } from '../../mesh/errors.ts';
import { readableText } from '../ipp/bytes.ts';
import { encodeMessage, parseMessage } from '../ipp/codec.ts';
import {
  type Attribute,
  charset,
  type Group,
  type IppMessage,
  nameAttribute,
  naturalLanguage,
  uri as uriAttribute,
  withinOctets,
} from '../ipp/message.ts';
import { groups, type OperationName, operations, statuses, versions } from '../ipp/registry.ts';
import { readMessage } from '../ipp/stream.ts';
import type { DeliverLimits } from '../limits.ts';
import { checkPin, endpointOf, openTcp, openTls, type Pin, plainFingerprint } from './connect.ts';
import { isSuccess } from './ipp-capabilities.ts';
import { type IppPool, OneConnection } from './ipp-pool.ts';
import { inTime, type Source, type Way } from './source.ts';

const defaultPort = 631;

export interface Asked {
  operation: OperationName;
  /** behind charset, language, printer-uri and requesting-user-name */
  attributes?: readonly Attribute[];
  /** job template attributes */
  job?: readonly Attribute[];
}

export interface SessionOptions {
  uri: URL;
  user: string;
  limits: DeliverLimits;
  /** the certificate that an ipps printer must show; any when it is left out */
  pin?: Pin;
  /** where connections come from, and go to when they are idle */
  pool?: IppPool;
}

export class IppSession {
  /** of the printer in a pool: its address, and the certificate that its connections are checked for */
  readonly key: string;
  readonly #options: SessionOptions;
  #connection: OneConnection | undefined;
  /** whether the connection was used by another session */
  #worn = false;
  #version: number = versions['2.0'];
  #requestId = 0;
  #fingerprint: string | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.key = `${options.uri.href} ${plainFingerprint(options.pin?.fingerprint ?? '')}`;
  }

  /** of the certificate of the last connection */
  get fingerprint(): string | undefined {
    return this.#fingerprint;
  }

  /**
   * One request without a document.
   * @throws InkmeshError `unavailable`, `timeout`, or `forbidden` for a wrong certificate
   */
  async ask(asked: Asked, signal: AbortSignal): Promise<IppMessage> {
    const used = this.#connection?.usable ?? false;
    const answer = async () => {
      const message = this.#message(asked);
      const limit_ms = this.#options.limits.request_ms;
      return await this.#exchange(
        await this.#connected(),
        message,
        limit_ms,
        signal,
        (request) => void request.end(),
      );
    };
    // a printer may close an idle connection at any time: that is no failure. A job that it has made all the same is
    // empty, and prints nothing
    const first = await answer().catch((thrown: unknown) => {
      const again = used && asked.operation !== 'Create-Job';
      const died = this.#worn && thrown instanceof InkmeshError && thrown.code === 'unavailable';
      if (!(again || died) || signal.aborted) throw thrown;
      this.close();
      return answer();
    });
    this.#worn = false;
    if (first.code !== statuses['server-error-version-not-supported'] || this.#version === versions['1.1']) {
      return first;
    }
    this.#version = versions['1.1'];
    return await answer();
  }

  /**
   * One request with the document behind it. Some printers answer before they have read the document: after a
   * refusal no more of it is sent, after a success all of it is, as far as the connection lasts.
   * @returns the answer, which says nothing of a document that is not `complete`
   * @throws what `ask` throws, and whatever reading the document throws
   */
  async send(asked: Asked, source: Source, signal: AbortSignal): Promise<IppMessage> {
    // a connection that has not answered yet may be dead, and the document is read only once
    if (this.#worn) this.close();
    const connection = await this.#connected(true);
    const body = async (request: ClientRequest, answered: Promise<IppMessage>) => {
      const { way, leave } = wayOf(request, connection.socket, answered);
      await source.pump(way).finally(leave);
    };
    const answer = await this.#exchange(
      connection,
      this.#message(asked),
      this.#options.limits.stall_ms,
      signal,
      body,
    );
    // the rest of a document that was not sent whole would be taken for the next request
    if (!source.complete) this.close();
    return answer;
  }

  /** Keeps the connection for others: everything that was asked has been answered. */
  release(): void {
    const { pool } = this.#options;
    if (this.#connection !== undefined && pool !== undefined) pool.give(this.key, this.#connection);
    else this.#connection?.close();
    this.#connection = undefined;
  }

  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }

  async #connected(sure = false): Promise<OneConnection> {
    if (this.#connection?.usable) return this.#connection;
    this.close();
    const { uri, pin, limits, pool } = this.#options;
    // of those that others have used, one at most: the next may be as dead
    const idle = this.#worn || sure ? undefined : pool?.take(this.key);
    this.#worn = idle !== undefined;
    if (idle !== undefined) return this.#connection = idle;
    const endpoint = endpointOf(uri, defaultPort);
    let socket: Socket;
    if (uri.protocol === 'ipps:') {
      const connection = await openTls(endpoint, limits.connect_ms);
      if (pin !== undefined) checkPin(connection, pin);
      this.#fingerprint = connection.fingerprint;
      socket = connection.socket;
    } else socket = await openTcp(endpoint, limits.connect_ms);
    return this.#connection = new OneConnection(socket);
  }

  #message({ operation, attributes = [], job = [] }: Asked): Uint8Array {
    this.#requestId += 1;
    const { uri, user } = this.#options;
    const head = [
      charset('attributes-charset', 'utf-8'),
      naturalLanguage('attributes-natural-language', 'en'),
      uriAttribute('printer-uri', uri.href),
      // the target comes before anything else (RFC 8011 section 4.1.5)
      ...attributes.filter((attribute) => attribute.name === 'job-id'),
      nameAttribute('requesting-user-name', withinOctets(user, 255)),
      ...attributes.filter((attribute) => attribute.name !== 'job-id'),
    ];
    const all: Group[] = [{ tag: groups['operation-attributes-tag'], attributes: head }];
    if (job.length > 0) all.push({ tag: groups['job-attributes-tag'], attributes: [...job] });
    return encodeMessage({
      version: this.#version,
      code: operations[operation],
      requestId: this.#requestId,
      groups: all,
    });
  }

  async #exchange(
    agent: OneConnection,
    message: Uint8Array,
    limit_ms: number,
    signal: AbortSignal,
    body: (request: ClientRequest, answered: Promise<IppMessage>) => void | Promise<void>,
  ): Promise<IppMessage> {
    const { uri, limits: { request_ms, maxResponseBytes } } = this.#options;
    const endpoint = endpointOf(uri, defaultPort);
    const request = httpRequest({
      agent,
      host: endpoint.host,
      port: endpoint.port,
      method: 'POST',
      path: `${uri.pathname || '/'}${uri.search}`,
      headers: { 'content-type': 'application/ipp', 'transfer-encoding': 'chunked' },
    });
    const responded = new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve);
      request.on('error', (error: NodeJS.ErrnoException) => reject(lost(error)));
      request.once('close', () => reject(lost(closedByPrinter)));
    });
    const late = 'the printer does not finish its answer';
    const answered = responded.then((response) =>
      inTime(answerOf(response, maxResponseBytes), request_ms, signal, late)
    );
    answered.catch(() => {});
    try {
      request.write(message);
      await body(request, answered);
      return await inTime(answered, limit_ms, signal, 'the printer does not answer');
    } catch (thrown) {
      request.destroy();
      this.close();
      throw thrown;
    }
  }
}

function lost(error: NodeJS.ErrnoException): InkmeshError {
  return new InkmeshError(
    'unavailable',
    `the connection to the printer was lost: ${error.code ?? error.message}`,
  );
}

const closedByPrinter = new Error('it closed the connection');

/** The way of a document behind its request: over with a refusal, or with the connection. `leave` when it is done. */
function wayOf(
  request: ClientRequest,
  socket: Socket,
  answered: Promise<IppMessage>,
): { way: Way; leave(): void } {
  let refused = false;
  const refusal = new Promise<void>((resolve) => {
    const refuse = () => {
      refused = true;
      resolve();
    };
    answered.then((answer) => isSuccess(answer) ? undefined : refuse(), refuse);
  });
  const { promise: closed, resolve: close } = Promise.withResolvers<void>();
  if (socket.destroyed) close();
  else socket.once('close', close);
  // the request says it only while its answer has not come, the socket only once the request has it
  const drained = () =>
    new Promise<void>((resolve) => {
      const drain = () => {
        for (const stream of [request, socket]) stream.off('drain', drain);
        resolve();
      };
      for (const stream of [request, socket]) stream.on('drain', drain);
    });
  const way: Way = {
    write: async (chunk) => {
      if (!request.write(chunk)) await Promise.race([drained(), refusal, closed]);
    },
    end: async () => {
      const finished = new Promise<'finished'>((resolve) => request.end(() => resolve('finished')));
      if (await Promise.race([finished, closed]) !== 'finished') throw lost(closedByPrinter);
    },
    over: () => refused || socket.destroyed,
  };
  return { way, leave: () => void socket.off('close', close) };
}

const readAnswer = (bytes: Uint8Array) => parseMessage(bytes, readableText);

async function answerOf(response: IncomingMessage, maxBytes: number): Promise<IppMessage> {
  if (response.statusCode !== 200) {
    const meanings: Record<number, string> = {
      401: 'it wants a password',
      403: 'it refuses this machine',
      404: 'the path in its address is wrong',
      426: 'it wants TLS: use an address with ipps://',
    };
    const status = response.statusCode ?? 0;
    throw new InkmeshError(
      'unavailable',
      `the printer answered HTTP ${status}${meanings[status] ? `: ${meanings[status]}` : ''}`,
      { status: String(status) },
    );
  }
  const { message, document } = await readMessage(response, readAnswer).catch((cause: unknown) => {
    throw new InkmeshError('unavailable', 'the answer of the printer is not IPP', {}, { cause });
  });
  // to its end, so that the connection can be used again
  let extra = 0;
  for await (const chunk of document) {
    extra += chunk.length;
    if (extra > maxBytes) {
      throw new InkmeshError('unavailable', 'the answer of the printer does not end');
    }
  }
  return message;
}
