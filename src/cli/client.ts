/** The command line's side of a running node's API. */
import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { request as httpsRequest } from 'node:https';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { rootCertificates } from 'node:tls';
import { pipeline } from 'node:stream/promises';
import type { RegistrarView } from '../api/standing.ts';
import { asInkmeshError, type Code, codes, InkmeshError } from '../../mesh/errors.ts';
import { isDue, renewPurpose, signRequest, toPem, viewPurpose } from '../../mesh/mod.ts';
import { files, readCredential, readRun, renewCredential, type StoredCredential } from '../datadir.ts';
import type { Args } from './command.ts';

/** Where a node is asked. */
export interface Endpoint {
  /** what people call it */
  name: string;
  /** PeerId */
  peer: string;
  /** IP address or host name */
  host: string;
  port: number;
  /** the name that its TLS certificate must have; null for its IP address */
  servername: string | null;
  /** a cloud node, whose certificate may be of any CA that the system trusts */
  cloud?: true;
  /** the path under which the node at this address passes on what is for `peer` */
  by?: string;
}

interface Call {
  method: 'GET' | 'POST';
  path: string;
  json?: unknown;
  body?: AsyncIterable<Uint8Array>;
  headers?: Record<string, string>;
  /** how long nothing may move; half an hour unless told, for printers that take their time */
  silence_ms?: number;
  /** ends it */
  signal?: AbortSignal;
}

const silence_ms = 30 * 60_000;
/** of connecting, and of a node that takes a document, from the last octet to its answer: holders may take a minute */
const connect_ms = 5_000;
const uploadSilence_ms = 120_000;
/** codes of TLS: the certificate does not lead to the root that the credential knows */
const untrusted = /ISSUER_CERT|SELF_SIGNED|VERIFY_LEAF/;

/** Where a user's own credential is kept on this machine. */
export function credentialPath(): string {
  const base = process.platform === 'win32'
    ? process.env['APPDATA'] ?? homedir()
    : process.env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config');
  return join(base, 'inkmesh', 'credential');
}

/** A client that acts as the logged-in user, or with `--credential`. */
export async function userClient(args: Args): Promise<Client> {
  return await Client.open(args.required('dir'), args.optional('credential') ?? credentialPath());
}

/** A client that acts as an administrator: the one that `org init` made, or `--credential`. */
export async function adminClient(args: Args): Promise<Client> {
  const dir = args.required('dir');
  return await Client.open(dir, args.optional('credential') ?? files.adminCredential(dir));
}

/** For what everybody may see: the logged-in user, or the administrator on the machine that has that credential. */
export async function userOrAdmin(args: Args): Promise<Client> {
  return await adminClient(args).catch(() => userClient(args));
}

/** The node of this machine that runs in a data directory. @throws InkmeshError `unavailable` when none has */
export async function localEndpoint(dir: string): Promise<Endpoint> {
  const { peer, ports } = await readRun(dir);
  return {
    name: `the node in ${dir}`,
    peer,
    host: '127.0.0.1',
    port: ports.release,
    servername: 'localhost',
  };
}

/** Whether the node had what it was asked, and its answer was lost: what became of it is not known. */
export function isCutOff(error: InkmeshError): boolean {
  return error.about['cut'] !== undefined;
}

/** Whether an error says that no answer came: what was asked may have been done all the same. */
export function isUnanswered(error: InkmeshError): boolean {
  return error.about['unanswered'] !== undefined;
}

export class Client {
  readonly credential: StoredCredential;
  readonly node: Endpoint;

  constructor(credential: StoredCredential, node: Endpoint) {
    this.credential = credential;
    this.node = node;
  }

  /** @throws InkmeshError when no node runs in `dir`, or the credential is not usable */
  static async open(dir: string, credential: string): Promise<Client> {
    const client = new Client(await readCredential(credential), await localEndpoint(dir));
    // what it was opened for is not to wait for a registrar that is asleep: there are weeks left
    if (isDue(client.credential.identity, Date.now())) await client.#renew(credential).catch(() => {});
    return client;
  }

  /** Has the credential renewed by a registrar that the node reaches; the next command uses the new one. */
  async #renew(path: string): Promise<void> {
    const expected = { ...renewPurpose, audience: this.node.peer };
    const proof = await signRequest(this.credential, expected, Date.now());
    const { leaf, issuers } = await this.post<{ leaf: string; issuers: string[] }>('/v1/credential', {
      proof,
    });
    await renewCredential(path, {
      leaf: Uint8Array.fromBase64(leaf),
      issuers: issuers.map((der) => Uint8Array.fromBase64(der)),
    });
  }

  /** The same user's, of the registrar that states what an administrator decides: by this node where it is another. */
  async registrar(): Promise<Client> {
    const { name, peer } = await this.get<RegistrarView>('/v1/registrar');
    if (peer === null) return this;
    return new Client(this.credential, { ...this.node, name, peer, by: `/forward/${peer}` });
  }

  async get<T>(path: string, options: Pick<Call, 'headers' | 'silence_ms' | 'signal'> = {}): Promise<T> {
    return await this.#json<T>({ method: 'GET', path, ...options });
  }

  async post<T>(
    path: string,
    json: unknown,
    options: Pick<Call, 'headers' | 'silence_ms'> = {},
  ): Promise<T> {
    return await this.#json<T>({ method: 'POST', path, json, ...options });
  }

  /** Sends a document as it is read. */
  async upload<T>(
    path: string,
    body: AsyncIterable<Uint8Array>,
    headers: Record<string, string>,
  ): Promise<T> {
    return await this.#json<T>({ method: 'POST', path, body, headers, silence_ms: uploadSilence_ms });
  }

  /** Calls `step` for each line of JSON that the node answers with. */
  async follow(path: string, json: unknown, step: (line: unknown) => void): Promise<void> {
    const response = await this.#send({ method: 'POST', path, json });
    let rest = '';
    try {
      for await (const part of response.setEncoding('utf8')) {
        const lines = (rest + String(part)).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) step(JSON.parse(line));
      }
    } catch (cause) {
      if (cause instanceof InkmeshError) throw cause;
      throw this.cutOff(cause);
    }
  }

  /** What is to be said of an answer that has begun, and has no end. */
  cutOff(cause?: unknown): InkmeshError {
    const { name } = this.node;
    return new InkmeshError('unavailable', `the connection to ${name} was lost`, { cut: name }, { cause });
  }

  /** The header by which the node may ask holders for this user's tickets. */
  async viewHeader(): Promise<Record<string, string>> {
    const expected = { ...viewPurpose, audience: this.node.peer };
    return { 'inkmesh-view': await signRequest(this.credential, expected, Date.now()) };
  }

  async #json<T>(call: Call): Promise<T> {
    const content = await this.#collect(await this.#send(call));
    try {
      return JSON.parse(content) as T;
    } catch (cause) {
      throw this.#unanswered(cause);
    }
  }

  async #send(call: Call): Promise<IncomingMessage> {
    const content = call.json === undefined ? undefined : Buffer.from(JSON.stringify(call.json));
    const bodyHash = content === undefined ? undefined : createHash('sha256').update(content).digest();
    const target = { method: call.method, path: call.path, audience: this.node.peer };
    const signed = await signRequest(
      this.credential,
      bodyHash === undefined ? target : { ...target, bodyHash: new Uint8Array(bodyHash) },
      Date.now(),
    );
    let connected = false;
    const response = await this.#exchange(call, content, signed, () => connected = true).catch(
      (cause: unknown) => {
        const error = this.#unanswered(cause);
        throw connected && isUnanswered(error) ? marked(error) : error;
      },
    );
    if ((response.statusCode ?? 500) >= 400) {
      throw errorOf(await this.#collect(response), response.statusCode ?? 500);
    }
    return response;
  }

  /** @param cause what a document's reader has thrown goes on as it is */
  #unanswered(cause: unknown): InkmeshError {
    if (cause instanceof InkmeshError) return cause;
    const { name, host, port } = this.node;
    const about = { unanswered: name };
    if (untrusted.test(String((cause as { code?: unknown }).code))) {
      return new InkmeshError(
        'unauthenticated',
        `${name} on port ${port} is not of the credential’s organisation: use another --credential FILE`,
        about,
        { cause },
      );
    }
    const reason = asInkmeshError(cause).message;
    return new InkmeshError(
      'unavailable',
      `${name} does not answer at ${host} on port ${port}: ${reason}; is it running?`,
      about,
      { cause },
    );
  }

  #exchange(
    call: Call,
    content: Buffer | undefined,
    signed: string,
    onConnected: () => void,
  ): Promise<IncomingMessage> {
    const { host, port, servername, cloud, by = '' } = this.node;
    const root = toPem('CERTIFICATE', this.credential.trust.root);
    return new Promise((resolve, reject) => {
      const request = httpsRequest({
        ...{ host, port, method: call.method, path: by + call.path },
        ...(servername === null ? {} : { servername }),
        ca: cloud ? [root, ...rootCertificates] : root,
        timeout: call.silence_ms ?? silence_ms,
        ...(call.signal === undefined ? {} : { signal: call.signal }),
        headers: {
          ...call.headers,
          authorization: `Inkmesh ${signed}`,
          ...(content === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': content.length }),
        },
      }, (response) => {
        // who has answered does not want the rest
        response.once('end', () => {
          if (!request.writableFinished) request.destroy();
        });
        resolve(response);
      });
      request.on('error', reject);
      request.on('timeout', () => request.destroy(new Error('no answer came')));
      connectInTime(request, onConnected);
      if (call.body !== undefined) pipeline(Readable.from(call.body), request).catch(reject);
      else request.end(content);
    });
  }

  async #collect(response: IncomingMessage): Promise<string> {
    let content = '';
    try {
      for await (const part of response.setEncoding('utf8')) content += String(part);
    } catch (cause) {
      throw this.#unanswered(cause);
    }
    return content;
  }
}

/** A machine that is switched off does not even refuse a connection. */
function connectInTime(request: ClientRequest, onConnected: () => void): void {
  request.once('socket', (socket) => {
    if (!socket.connecting) return onConnected();
    socket.once('secureConnect', onConnected);
    setTimeout(() => {
      if (socket.connecting) request.destroy(new Error('it cannot be reached'));
    }, connect_ms).unref();
  });
}

/** The same error, of a node that may have begun with what it was asked. */
function marked({ code, message, about, cause }: InkmeshError): InkmeshError {
  return new InkmeshError(code, message, { ...about, cut: about['unanswered'] ?? '' }, { cause });
}

function errorOf(content: string, status: number): InkmeshError {
  try {
    const { error } = JSON.parse(content) as {
      error: { code: string; message: string; details: Record<string, string> };
    };
    const code = codes.find((known): known is Code => known === error.code) ?? 'internal';
    return new InkmeshError(code, error.message, error.details);
  } catch {
    return new InkmeshError('internal', `the node answered with HTTP status ${status}`);
  }
}
