/** The command line's side of a running node's API. */
import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { asInkmeshError, type Code, codes, InkmeshError } from '../../mesh/errors.ts';
import { isDue, renewPurpose, signRequest, toPem, viewPurpose } from '../../mesh/mod.ts';
import {
  files,
  readCredential,
  readRun,
  renewCredential,
  type RunFile,
  type StoredCredential,
} from '../datadir.ts';
import type { Args } from './command.ts';

export interface Call {
  method: 'GET' | 'POST';
  path: string;
  json?: unknown;
  body?: AsyncIterable<Uint8Array>;
  headers?: Record<string, string>;
}

const timeout_ms = 30 * 60_000;
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

export class Client {
  readonly credential: StoredCredential;
  readonly run: RunFile;

  private constructor(credential: StoredCredential, run: RunFile) {
    this.credential = credential;
    this.run = run;
  }

  /** @throws InkmeshError when no node runs in `dir`, or the credential is not usable */
  static async open(dir: string, credential: string): Promise<Client> {
    const client = new Client(await readCredential(credential), await readRun(dir));
    // what it was opened for is not to wait for a registrar that is asleep: there are weeks left
    if (isDue(client.credential.identity, Date.now())) await client.#renew(credential).catch(() => {});
    return client;
  }

  /** Has the credential renewed by a registrar that the node reaches; the next command uses the new one. */
  async #renew(path: string): Promise<void> {
    const expected = { ...renewPurpose, audience: this.run.peer };
    const proof = await signRequest(this.credential, expected, Date.now());
    const { leaf, issuers } = await this.post<{ leaf: string; issuers: string[] }>('/v1/credential', {
      proof,
    });
    await renewCredential(path, {
      leaf: Uint8Array.fromBase64(leaf),
      issuers: issuers.map((der) => Uint8Array.fromBase64(der)),
    });
  }

  async get<T>(path: string, headers: Record<string, string> = {}): Promise<T> {
    return await this.#json<T>({ method: 'GET', path, headers });
  }

  async post<T>(path: string, json: unknown): Promise<T> {
    return await this.#json<T>({ method: 'POST', path, json });
  }

  /** Sends a document as it is read. */
  async upload<T>(
    path: string,
    body: AsyncIterable<Uint8Array>,
    headers: Record<string, string>,
  ): Promise<T> {
    return await this.#json<T>({ method: 'POST', path, body, headers });
  }

  /** Calls `step` for each line of JSON that the node answers with. */
  async follow(path: string, json: unknown, step: (line: unknown) => void): Promise<void> {
    const response = await this.#send({ method: 'POST', path, json });
    let rest = '';
    for await (const part of response.setEncoding('utf8')) {
      const lines = (rest + String(part)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) step(JSON.parse(line));
    }
  }

  /** The header by which the node may ask holders for this user's tickets. */
  async viewHeader(): Promise<Record<string, string>> {
    const expected = { ...viewPurpose, audience: this.run.peer };
    return { 'inkmesh-view': await signRequest(this.credential, expected, Date.now()) };
  }

  async #json<T>(call: Call): Promise<T> {
    const response = await this.#send(call);
    return JSON.parse(await collect(response)) as T;
  }

  async #send(call: Call): Promise<IncomingMessage> {
    const content = call.json === undefined ? undefined : Buffer.from(JSON.stringify(call.json));
    const bodyHash = content === undefined ? undefined : createHash('sha256').update(content).digest();
    const target = { method: call.method, path: call.path, audience: this.run.peer };
    const signed = await signRequest(
      this.credential,
      bodyHash === undefined ? target : { ...target, bodyHash: new Uint8Array(bodyHash) },
      Date.now(),
    );
    const response = await this.#exchange(call, content, signed).catch((cause: unknown) => {
      if (untrusted.test(String((cause as { code?: unknown }).code))) {
        throw new InkmeshError(
          'unauthenticated',
          `the node on port ${this.run.ports.release} is not of the credential’s organisation: use another --credential FILE`,
          {},
          { cause },
        );
      }
      throw new InkmeshError(
        'unavailable',
        `the node does not answer on port ${this.run.ports.release}: ${
          asInkmeshError(cause).message
        }; is it running?`,
        {},
        { cause },
      );
    });
    if ((response.statusCode ?? 500) >= 400) {
      throw errorOf(await collect(response), response.statusCode ?? 500);
    }
    return response;
  }

  #exchange(call: Call, content: Buffer | undefined, signed: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const request = httpsRequest({
        host: '127.0.0.1',
        port: this.run.ports.release,
        servername: 'localhost',
        ca: toPem('CERTIFICATE', this.credential.trust.root),
        method: call.method,
        path: call.path,
        timeout: timeout_ms,
        headers: {
          ...call.headers,
          authorization: `Inkmesh ${signed}`,
          ...(content === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': content.length }),
        },
      }, resolve);
      request.on('error', reject);
      request.on('timeout', () => request.destroy(new Error('no answer came')));
      if (call.body !== undefined) pipeline(Readable.from(call.body), request).catch(reject);
      else request.end(content);
    });
  }
}

async function collect(response: IncomingMessage): Promise<string> {
  let content = '';
  for await (const part of response.setEncoding('utf8')) content += String(part);
  return content;
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
