/**
 * One document on its way to the first node that takes it. A node that stops answering in the middle may have made a
 * job of it, or not: the next one is asked to find out (mesh/resume.ts), and is sent the document if there is none.
 */
import { setTimeout } from 'node:timers/promises';
import { asInkmeshError, type Code, InkmeshError } from '../../mesh/errors.ts';
import type { Accepted } from '../api/submissions.ts';
import type { StoredCredential } from '../datadir.ts';
import type { Ticket } from '../job.ts';
import { resumeLimits } from '../limits.ts';
import { Client, type Endpoint, isUnanswered } from './client.ts';
import { ownIps } from './found.ts';
import { nearbyNodes } from './nearby.ts';
import { checkNodes, endpointsOf, keepNodes, knownNodes } from './nodes.ts';

export interface SubmissionOptions {
  credential: StoredCredential;
  /** its file: what nodes there are is kept beside it */
  path: string;
  /** asked before all others; null where none runs on this machine */
  local: Endpoint | null;
  ticket: Ticket;
  /** reads it from its beginning, on its way to a node */
  document(node: Endpoint): AsyncIterable<Uint8Array>;
  /** a node did not take it, and others are asked */
  onFailure(reason: string): void;
}

/** What a node says of a document that no other node would say anything else of: it is at fault, or the command is. */
const final: ReadonlySet<Code> = new Set(['bad-request', 'too-large', 'not-found']);
const ask_ms = 10_000;
/** how long a cloud node is waited for while there are others to ask */
const cloudPatience_ms = 300;
/** of this machine, told to a cloud node */
const maxOwnAddresses = 6;

export class Submission {
  readonly #options: SubmissionOptions;
  readonly #id = crypto.randomUUID();
  /** still to be asked, the best first */
  #queue: Endpoint[];
  /** every address once */
  readonly #seen = new Set<string>();
  /** PeerIds of nodes that were sent the document, or have refused it */
  readonly #asked = new Set<string>();
  /** of these, those that have not answered */
  readonly #tried: string[] = [];
  /** why no node would take the document */
  #final: InkmeshError | undefined;
  /** what to say where none has taken it */
  #failure: InkmeshError | undefined;
  /** cloud nodes that have not answered yet. Never reject */
  readonly #asking: Promise<void>[] = [];
  readonly #stop = new AbortController();

  private constructor(options: SubmissionOptions, queue: Endpoint[]) {
    this.#options = options;
    this.#queue = queue;
  }

  /**
   * Resolves when a node has accepted the document.
   * @throws InkmeshError why none has
   */
  static async send(options: SubmissionOptions): Promise<Accepted> {
    const known = endpointsOf(await knownNodes(options.path));
    const submission = new Submission(options, [...options.local === null ? [] : [options.local], ...known]);
    return await submission.#send().finally(() => submission.#stop.abort());
  }

  async #send(): Promise<Accepted> {
    for await (const node of this.#nodes()) {
      const address = `${node.peer} ${node.host} ${node.port}`;
      if (this.#asked.has(node.peer) || this.#seen.has(address)) continue;
      this.#seen.add(address);
      if (node.cloud) {
        const asking = this.#askCloud(node).catch((thrown) => this.#failed(node, asInkmeshError(thrown)));
        this.#asking.push(asking);
        await Promise.race([asking, setTimeout(cloudPatience_ms, undefined, { ref: false })]);
        continue;
      }
      try {
        return await this.#sendTo(node);
      } catch (thrown) {
        const error = asInkmeshError(thrown);
        if (error === this.#final) throw error;
        this.#failed(node, error);
      }
    }
    throw this.#failure ?? new InkmeshError(
      'unavailable',
      'no node is known here and none is found on this network: give the --dir DIR of one on this machine',
    );
  }

  #failed(node: Endpoint, error: InkmeshError): void {
    if (this.#stop.signal.aborted) return;
    if (!isUnanswered(error)) this.#asked.add(node.peer);
    // what a node has said tells more than that another one is switched off
    if (this.#failure === undefined || (isUnanswered(this.#failure) && !isUnanswered(error))) {
      this.#failure = error;
    }
    this.#options.onFailure(error.message);
  }

  /** Those that are known, as they become known; then those that are near, and what a slow cloud node has to say. */
  async *#nodes(): AsyncGenerator<Endpoint> {
    yield* this.#queued();
    yield* await nearbyNodes(this.#options.credential.trust.fingerprint);
    await Promise.all(this.#asking);
    yield* this.#queued();
  }

  *#queued(): Generator<Endpoint> {
    for (let node = this.#queue.shift(); node !== undefined; node = this.#queue.shift()) yield node;
  }

  /** A cloud node takes no documents, and knows which nodes of this site are there. */
  async #askCloud(node: Endpoint): Promise<void> {
    const { credential } = this.#options;
    const own = ownIps().filter((ip) => !ip.includes('%')).slice(0, maxOwnAddresses).join(',');
    const path = `/v1/directory/nodes?site=${credential.site}&address=${encodeURIComponent(own)}`;
    const { signal } = this.#stop;
    const listed = await new Client(credential, node).get<unknown>(path, { silence_ms: ask_ms, signal });
    this.#queue = [...endpointsOf(checkNodes(listed)), ...this.#queue];
  }

  async #sendTo(node: Endpoint): Promise<Accepted> {
    const { credential, ticket, document } = this.#options;
    const client = new Client(credential, node);
    await this.#askOthers(client);
    const job = await this.#jobOf(client);
    if (job !== null) return job;
    this.#asked.add(node.peer);
    try {
      return await client.upload<Accepted>(`/v1/jobs?submission=${this.#id}`, document(node), {
        'inkmesh-ticket': Buffer.from(JSON.stringify(ticket)).toString('base64url'),
        'content-type': 'application/octet-stream',
      });
    } catch (thrown) {
      const error = asInkmeshError(thrown);
      if (isUnanswered(error)) this.#tried.push(node.peer);
      else if (final.has(error.code)) this.#final = error;
      throw error;
    }
  }

  /** The job that nodes have made of the submission that did not answer. */
  async #jobOf(client: Client): Promise<Accepted | null> {
    if (this.#tried.length === 0) return null;
    const request = { submission: this.#id, tried: this.#tried };
    const { atOnce, each_ms, maxTried } = resumeLimits;
    const rounds = Math.ceil(Math.min(this.#tried.length, maxTried) / atOnce);
    const options = { headers: await client.viewHeader(), silence_ms: ask_ms + rounds * each_ms };
    return (await client.post<{ job: Accepted | null }>('/v1/jobs/resume', request, options)).job;
  }

  /** A node that answers knows best who else is there; one of another version may say so in its own way. */
  async #askOthers(client: Client): Promise<void> {
    try {
      const listed = await client.get<unknown>('/v1/submission-nodes', { silence_ms: ask_ms });
      const nodes = await keepNodes(this.#options.path, listed);
      this.#queue = [...endpointsOf(nodes), ...this.#queue];
    } catch (thrown) {
      if (isUnanswered(asInkmeshError(thrown))) throw thrown;
    }
  }
}
