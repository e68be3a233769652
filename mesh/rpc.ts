/**
 * One request, one reply or a byte stream: each method is a libp2p protocol `/inkmesh/<method>/1`. A request
 * is a CBOR frame, then, where the method takes one, a body: frames of at least one octet, ended
 * by an empty frame. The reply is a CBOR frame `{ok}` or `{error}`, then a body where the method gives one.
 * Noise authenticates every octet, the empty frame tells an end from a break. See WIRE.md.
 */
import * as v from 'valibot';
import { decode, encode, text } from './codec.ts';
import { asInkmeshError, type Code, codes, InkmeshError } from './errors.ts';
import {
  callTimeout_ms,
  maxBodyFrameBytes,
  maxMessageBytes,
  maxStreamsBeforeAdmission,
  maxStreamsPerMethod,
  messageTime_ms,
  stallTimeout_ms,
} from './limits.ts';
import type { Channel, Clock, Link, Log, Transport } from './ports.ts';
import { deadline } from './timing.ts';

/** A method's contract: both ends check what they get against it. */
export interface Method<Req extends v.GenericSchema, Res extends v.GenericSchema> {
  readonly name: string;
  readonly request: Req;
  readonly reply: Res;
  /** who may call it: `anyone` that reaches the port, or a `member` whose certificate the gate has checked */
  readonly admission: 'anyone' | 'member';
  /** octets of a request, `maxMessageBytes` unless told */
  readonly maxBytes?: number;
  /** octets of a reply, as of a request unless told */
  readonly maxReplyBytes?: number;
  /** calls that one connection may have open, `maxStreamsPerMethod` unless told */
  readonly maxStreams?: number;
}

export type Body = AsyncIterable<Uint8Array>;

export interface Incoming<Request> {
  /** PeerId of the caller, proven by Noise */
  from: string;
  link: Link;
  request: Request;
  /** the request's body; it ends only if the caller ended it, and throws on a break */
  body: Body;
}

export interface Answer<Reply> {
  reply: Reply;
  body?: Body;
}

export interface CallOptions {
  body?: Body;
  /**
   * for the reply to arrive; `callTimeout_ms` unless told. It counts from when the request is sent: on a slow link that
   * documents fill, waiting for one's turn is no sign of a dead peer
   */
  timeout_ms?: number;
  signal?: AbortSignal;
  /** over this link, not any link to the peer */
  link?: Link;
}

/** Settles when the peer may be served; throws InkmeshError when it may not. */
export type Admission = (link: Link) => Promise<void>;

/** A link to a peer that both sides have admitted. @throws InkmeshError `unavailable` */
export type Reach = (peer: string, signal: AbortSignal) => Promise<Link>;

const envelopeSchema = v.union([
  v.strictObject({ ok: v.unknown() }),
  v.strictObject({
    error: v.strictObject({
      code: v.picklist(codes),
      message: text(1024),
      details: v.record(text(64), text(1024)),
    }),
  }),
]);

export class Rpc {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #log: Log;
  #admission: Admission = () => Promise.reject(new InkmeshError('forbidden', 'this node admits nobody yet'));
  #reach: Reach = (peer) =>
    Promise.reject(new InkmeshError('unavailable', `the node ${peer} is not connected`, { peer }));

  /** @param log told of what fails inside this node */
  constructor(transport: Transport, clock: Clock, log: Log) {
    this.#transport = transport;
    this.#clock = clock;
    this.#log = log;
  }

  /** Sets who passes as a member; the gate is built on top of this. */
  admitBy(admission: Admission): void {
    this.#admission = admission;
  }

  /** Sets what connects to a peer when a call needs it. */
  reachBy(reach: Reach): void {
    this.#reach = reach;
  }

  async handle<Req extends v.GenericSchema, Res extends v.GenericSchema>(
    method: Method<Req, Res>,
    serve: (incoming: Incoming<v.InferOutput<Req>>) => Promise<Answer<v.InferInput<Res>>>,
  ): Promise<void> {
    const maxInboundStreams = method.maxStreams ??
      (method.admission === 'anyone' ? maxStreamsBeforeAdmission : maxStreamsPerMethod);
    await this.#transport.handle(protocol(method.name), maxInboundStreams, (channel, link) => {
      void this.#serve(method, channel, link, serve);
    });
  }

  /**
   * @returns the reply and its body; a body must be read to its end or its iterator returned
   * @throws InkmeshError what the peer answered; `unavailable` when it can't be reached, `timeout`
   */
  async call<Req extends v.GenericSchema, Res extends v.GenericSchema>(
    peer: string,
    method: Method<Req, Res>,
    request: v.InferInput<Req>,
    options: CallOptions = {},
  ): Promise<{ reply: v.InferOutput<Res>; body: Body }> {
    const started = deadline(this.#clock, callTimeout_ms, options.signal);
    let channel: Channel;
    try {
      const link = options.link ?? await this.#reach(peer, started.signal);
      channel = await this.#transport.open(link, protocol(method.name), started.signal);
    } finally {
      started.done();
    }
    const stop = () => channel.abort(new InkmeshError('timeout', `${method.name} was given up`));
    options.signal?.addEventListener('abort', stop, { once: true });
    try {
      if (options.signal?.aborted) throw new InkmeshError('timeout', `${method.name} was given up`);
      await channel.write(encode(request));
      if (options.body !== undefined) await sendBody(channel, options.body).catch(unlessBroken);
      await channel.end();
      const timeout_ms = options.timeout_ms ?? callTimeout_ms;
      const reply = await this.#within(channel, () => readReply(channel, method, timeout_ms), timeout_ms);
      return { reply, body: wholeOrReset(channel) };
    } catch (thrown) {
      const error = asInkmeshError(thrown);
      channel.abort(error);
      throw error;
    } finally {
      options.signal?.removeEventListener('abort', stop);
    }
  }

  /** A message that drips in would never stall for long, and never end: it has a time in all. */
  async #within<T>(channel: Channel, reading: () => Promise<T>, least_ms = 0): Promise<T> {
    const limit_ms = Math.max(least_ms, messageTime_ms);
    const callOff = this.#clock.after(limit_ms, () => {
      channel.abort(new InkmeshError('timeout', 'a message took too long to arrive'));
    });
    try {
      return await reading();
    } finally {
      callOff();
    }
  }

  async #serve<Req extends v.GenericSchema, Res extends v.GenericSchema>(
    method: Method<Req, Res>,
    channel: Channel,
    link: Link,
    serve: (incoming: Incoming<v.InferOutput<Req>>) => Promise<Answer<v.InferInput<Res>>>,
  ): Promise<void> {
    const from = link.peer;
    try {
      let answer: Answer<v.InferInput<Res>>;
      try {
        if (method.admission === 'member') await this.#admission(link);
        const maxBytes = method.maxBytes ?? maxMessageBytes;
        const frame = await this.#within(channel, () => channel.read(maxBytes, callTimeout_ms));
        if (frame === undefined) throw new InkmeshError('bad-request', 'the request is missing');
        const request = decode(method.request, frame);
        answer = await serve({ from, link, request, body: readBody(channel) });
      } catch (thrown) {
        const error = asInkmeshError(thrown);
        if (error.code === 'internal') {
          this.#log('error', `${method.name} failed`, { peer: from, reason: error.stack });
        }
        await channel.write(encode({ error: errorFrame(error) }));
        await channel.end();
        // a body that is still on its way would wait for a reader for ever
        channel.abort(asInkmeshError(thrown));
        return;
      }
      await channel.write(encode({ ok: answer.reply }));
      if (answer.body !== undefined) await sendBody(channel, answer.body);
      await channel.end();
    } catch (broken) {
      // the peer went away, or the reply's body failed half-way: a reset tells it that nothing is complete
      channel.abort(asInkmeshError(broken));
    }
  }
}

const protocol = (name: string) => `/inkmesh/${name}/1`;

function errorFrame(error: InkmeshError): { code: Code; message: string; details: Record<string, string> } {
  const message = error.code === 'internal' ? 'the node failed internally; its log says why' : error.message;
  return { code: error.code, message: message.slice(0, 1024), details: { ...error.about } };
}

async function readReply<Res extends v.GenericSchema>(
  channel: Channel,
  method: { name: string; reply: Res; maxBytes?: number; maxReplyBytes?: number },
  timeout_ms: number,
): Promise<v.InferOutput<Res>> {
  const frame = await channel.read(
    (method.maxReplyBytes ?? method.maxBytes ?? maxMessageBytes) + 4096,
    timeout_ms,
  );
  if (frame === undefined) throw new InkmeshError('unavailable', `${method.name} got no answer`);
  const envelope = decode(envelopeSchema, frame);
  if ('error' in envelope) {
    const { code, message, details } = envelope.error;
    throw new InkmeshError(code, message, details);
  }
  const checked = v.safeParse(method.reply, envelope.ok);
  if (!checked.success) {
    throw new InkmeshError('bad-request', `${method.name}: the reply has the wrong shape`);
  }
  return checked.output;
}

async function sendBody(channel: Channel, body: Body): Promise<void> {
  for await (const chunk of body) {
    for (let at = 0; at < chunk.length; at += maxBodyFrameBytes) {
      await channel.write(chunk.subarray(at, at + maxBodyFrameBytes));
    }
  }
  await channel.write(new Uint8Array(0));
}

/** A peer that refuses in mid-body answers, then breaks the stream: its answer counts, so go on to read it. */
function unlessBroken(thrown: unknown): void {
  if (!(thrown instanceof InkmeshError && thrown.code === 'unavailable')) throw thrown;
}

/** Who stops reading half-way may still answer. @throws InkmeshError `unavailable` on a break */
async function* readBody(channel: Channel): Body {
  for (;;) {
    const frame = await channel.read(maxBodyFrameBytes, stallTimeout_ms);
    if (frame === undefined) throw new InkmeshError('unavailable', 'the byte stream broke off');
    if (frame.length === 0) return;
    yield frame;
  }
}

/** A reply's body: whoever stops reading half-way resets the stream. */
function wholeOrReset(channel: Channel): Body {
  const frames = readBody(channel)[Symbol.asyncIterator]();
  let whole = false;
  const reset = () => {
    if (!whole) channel.abort(new InkmeshError('unavailable', 'the rest was not wanted'));
  };
  const body: AsyncIterableIterator<Uint8Array> = {
    [Symbol.asyncIterator]: () => body,
    next: async () => {
      try {
        const frame = await frames.next();
        whole = frame.done === true;
        return frame;
      } catch (thrown) {
        reset();
        throw thrown;
      }
    },
    // also of a body that nobody has begun to read
    return: () => {
      reset();
      return Promise.resolve({ done: true, value: undefined });
    },
  };
  return body;
}

/** The empty reply. */
export const noReply = v.strictObject({});
