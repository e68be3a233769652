/**
 * What clients may cost a cloud node, whose port the whole world sees: who sends a request's body in drips is dropped, no
 * address takes all connections with requests that are not answered, and while the node stops nothing new begins.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ListenOptions } from '../src/listen.ts';
import type { ClientAddress } from './proxy.ts';

type Fetch = ListenOptions['fetch'];

export interface BoundsLimits {
  /** a request's body, from its header to its end */
  body_ms: number;
  /** requests of one address that are not answered yet; an office has one, and each open list is a request */
  maxPerAddress: number;
}

export const boundsLimits: BoundsLimits = { body_ms: 30_000, maxPerAddress: 256 };

/** pages that show how things change: they are asked for again and again, and never end */
const isWatch = (request: Request): boolean => new URL(request.url).pathname === '/app/live';

export class Bounds {
  readonly #address: ClientAddress;
  readonly #limits: BoundsLimits;
  readonly #open = new Map<string, number>();
  #working = 0;
  #isClosed = false;

  constructor(address: ClientAddress, limits: BoundsLimits = boundsLimits) {
    this.#address = address;
    this.#limits = limits;
  }

  /** requests that are being answered, without those that go on until somebody leaves a page */
  get working(): number {
    return this.#working;
  }

  /** Every request from now on is told to come again. */
  close(): void {
    this.#isClosed = true;
  }

  /** Wraps what answers requests. */
  around(fetch: Fetch): Fetch {
    return (request, env) => {
      const { incoming, outgoing } = env as { incoming: IncomingMessage; outgoing: ServerResponse };
      if (this.#isClosed) return refusal(503, 'unavailable', 'this node is just stopping: try again');
      const from = this.#address(incoming);
      const open = this.#open.get(from) ?? 0;
      if (open >= this.#limits.maxPerAddress) {
        return refusal(429, 'busy', 'too many requests at once come from this address');
      }
      this.#open.set(from, open + 1);
      const works = isWatch(request) ? 0 : 1;
      this.#working += works;
      const { socket } = incoming;
      const late = setTimeout(() => {
        if (!incoming.complete) socket.destroy();
      }, this.#limits.body_ms);
      outgoing.once('close', () => {
        clearTimeout(late);
        this.#working -= works;
        const left = (this.#open.get(from) ?? 0) - 1;
        if (left > 0) this.#open.set(from, left);
        else this.#open.delete(from);
      });
      return fetch(request, env);
    };
  }
}

function refusal(status: number, code: string, message: string): Response {
  return Response.json({ error: { code, message, details: {} } }, {
    status,
    headers: { connection: 'close' },
  });
}
