/**
 * Writes to a connection, gathered. What libp2p sends in one turn of the event loop (headers, frames, window updates,
 * each by itself) is encrypted together and goes to the system in one call: most of what a small request costs is
 * calls of the system otherwise.
 */
import type { ConnectionEncrypter, MessageStream, SecuredConnection } from '@libp2p/interface';
import { gatheredBytes, maxUnsentBytes } from './limits.ts';

type Data = Parameters<MessageStream['send']>[0];

/** A list of parts (`Uint8ArrayList`). */
interface Parts {
  readonly byteLength: number;
  subarray(): Uint8Array;
  sublist(from: number, to: number): Parts;
  append(data: Data): void;
}

/** What every message stream of @libp2p/utils has, and its interface does not show. */
interface Sender {
  readonly writeStatus: string;
  readonly writeBuffer: Parts;
  /** octets: with more of them waiting the connection is ended */
  maxWriteBufferLength?: number;
  processSendQueue(): boolean;
  sendData(data: Parts): { sentBytes: number; canSendMore: boolean };
}

type Encrypter<Components, Extension> = (components: Components) => ConnectionEncrypter<Extension>;

/** The same encryption, by which the connections gather what is sent. */
export function gathering<Components, Extension>(
  encrypter: Encrypter<Components, Extension>,
): Encrypter<Components, Extension> {
  return (components) => {
    const inner = encrypter(components);
    const gathered = (plain: MessageStream, secured: SecuredConnection<Extension>) => {
      const { connection } = secured;
      if (isSender(plain) && isSender(connection)) {
        joinParts(plain);
        gather(connection, plain);
      }
      return secured;
    };
    return {
      protocol: inner.protocol,
      secureOutbound: async (plain, options) => gathered(plain, await inner.secureOutbound(plain, options)),
      secureInbound: async (plain, options) => gathered(plain, await inner.secureInbound(plain, options)),
    };
  };
}

function isSender(stream: object): stream is MessageStream & Sender {
  return 'writeBuffer' in stream && 'processSendQueue' in stream && 'sendData' in stream;
}

/** One call of the system for all parts of a list. */
function joinParts(stream: Sender): void {
  const sendData = stream.sendData.bind(stream);
  stream.sendData = (data) => {
    const one = data.sublist(0, 0);
    one.append(data.subarray());
    return sendData(one);
  };
}

/** @param plain what carries it: it is what is closed */
function gather(stream: MessageStream & Sender, plain: MessageStream & Sender): void {
  // data is held back before so much waits; answers to pings are not, and whoever asks for them need not read them
  stream.maxWriteBufferLength = maxUnsentBytes;
  const [send, close] = [stream.send.bind(stream), plain.close.bind(plain)];
  let waits = false;
  const flush = () => {
    waits = false;
    if (stream.status === 'open' && plain.writeStatus === 'writable') stream.processSendQueue();
  };
  stream.send = (data) => {
    if (stream.writeStatus !== 'writable' || stream.writableNeedsDrain) return send(data);
    stream.writeBuffer.append(data);
    if (stream.writeBuffer.byteLength >= gatheredBytes) return stream.processSendQueue();
    if (!waits) setImmediate(flush);
    waits = true;
    return true;
  };
  plain.close = (options) => {
    flush();
    return close(options);
  };
}
