/** A WebSocket (RFC 6455) as libp2p's connection: binary messages, whose boundaries mean nothing. */
import type { AbortOptions, Logger } from '@libp2p/interface';
import { AbstractMultiaddrConnection, type SendResult } from '@libp2p/utils';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { ClientOptions, WebSocket } from 'ws';
import { maxSocketMessageBytes, socketHighWaterBytes } from './limits.ts';

/** what holds for the WebSockets of both ends: what they carry is encrypted, and does not get smaller */
export const socketOptions: ClientOptions = {
  maxPayload: maxSocketMessageBytes,
  perMessageDeflate: false,
  skipUTF8Validation: true,
};

const goingAway = 1001;

/** An open WebSocket: whoever makes one hands it over before it can have said anything. */
export interface OpenSocket {
  socket: WebSocket;
  remoteAddr: Multiaddr;
  direction: 'inbound' | 'outbound';
  log: Logger;
}

export class SocketConnection extends AbstractMultiaddrConnection {
  readonly #socket: WebSocket;
  #held = false;

  constructor({ socket, ...init }: OpenSocket) {
    super(init);
    this.#socket = socket;
    socket.on('message', (data, isBinary) => {
      if (isBinary && data instanceof Uint8Array) this.onData(data);
      else this.abort(new TypeError('expected a binary message'));
    });
    socket.on('error', (error) => this.abort(error));
    socket.on('close', () => this.onTransportClosed());
  }

  override sendData(data: Parameters<AbstractMultiaddrConnection['sendData']>[0]): SendResult {
    for (let at = 0; at < data.byteLength; at += maxSocketMessageBytes) {
      const message = data.subarray(at, Math.min(data.byteLength, at + maxSocketMessageBytes));
      this.#socket.send(message, { binary: true }, () => this.#written());
    }
    this.#held = this.#socket.bufferedAmount >= socketHighWaterBytes;
    return { sentBytes: data.byteLength, canSendMore: !this.#held };
  }

  #written(): void {
    if (!this.#held || this.#socket.bufferedAmount > socketHighWaterBytes / 2) return;
    this.#held = false;
    this.safeDispatchEvent('drain');
  }

  override sendClose(_options?: AbortOptions): Promise<void> {
    this.#socket.close(goingAway);
    return Promise.resolve();
  }

  override sendReset(): void {
    this.#socket.terminate();
  }

  override sendPause(): void {
    this.#socket.pause();
  }

  override sendResume(): void {
    this.#socket.resume();
  }
}
