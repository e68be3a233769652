/**
 * Requests of users to a node's own HTTP API that come by another node: a browser may ask nobody but the node that serves
 * its page, and that one hands them on as they are. They are signed for the node that is to answer them, which judges
 * them as if they had come by themselves; whoever passes them on can read them, hold them back, and nothing more.
 */
import * as v from 'valibot';
import { bytes, integer, text } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { maxPassedBytes, passedAnswer_ms } from './limits.ts';
import { maxUserSignedBytes } from './grant.ts';
import type { Body, Method, Rpc } from './rpc.ts';

const passOnRequest = v.strictObject({
  method: v.picklist(['GET', 'POST']),
  path: v.pipe(text(2048), v.startsWith('/')),
  /** what follows the scheme `Inkmesh` in the header `Authorization` */
  authorization: text(Math.ceil(maxUserSignedBytes / 3) * 4),
  /** JSON; empty for GET */
  body: bytes(0, 64 * 1024),
});
export type PassedRequest = v.InferOutput<typeof passOnRequest>;

const passOnReply = v.strictObject({
  /** of HTTP */
  status: integer(200, 599),
  /** media type of the body */
  type: text(127),
});

const passOnMethod: Method<typeof passOnRequest, typeof passOnReply> = {
  name: 'pass-on',
  request: passOnRequest,
  reply: passOnReply,
  admission: 'member',
  maxBytes: maxPassedBytes,
};

export type PassedAnswer = v.InferOutput<typeof passOnReply> & { body: Body };

/** Answers a request that was signed for this node. @param from PeerId of the node that has passed it on */
export type Answers = (request: PassedRequest, from: string) => Promise<PassedAnswer>;

export class PassOn {
  readonly #rpc: Rpc;
  #answers: Answers = () => Promise.reject(new InkmeshError('unavailable', 'this node is just starting'));

  private constructor(rpc: Rpc) {
    this.#rpc = rpc;
  }

  static async open(rpc: Rpc): Promise<PassOn> {
    const passOn = new PassOn(rpc);
    await rpc.handle(passOnMethod, async ({ request, from }) => {
      const { body, ...reply } = await passOn.#answers(request, from);
      return { reply, body };
    });
    return passOn;
  }

  /** Sets what answers requests that others pass on to this node. */
  answerBy(answers: Answers): void {
    this.#answers = answers;
  }

  /** Hands a request to the node that it is signed for. @throws InkmeshError what that node said; `unavailable` */
  async ask(peer: string, request: PassedRequest, signal?: AbortSignal): Promise<PassedAnswer> {
    const options = { timeout_ms: passedAnswer_ms, ...(signal === undefined ? {} : { signal }) };
    const { reply, body } = await this.#rpc.call(peer, passOnMethod, request, options);
    return { ...reply, body };
  }
}
