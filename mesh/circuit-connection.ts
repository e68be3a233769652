/** One end of a circuit through a relay as libp2p's connection: Noise and yamux run over it as over TCP. */
import type { AbortOptions, Stream } from '@libp2p/interface';
import { AbstractMultiaddrConnection, type SendResult } from '@libp2p/utils';
import type { Multiaddr } from '@multiformats/multiaddr';

export class CircuitConnection extends AbstractMultiaddrConnection {
  readonly #stream: Stream;

  /** @param stream to the relay, which has made the circuit */
  constructor(stream: Stream, remoteAddr: Multiaddr) {
    super({ remoteAddr, direction: stream.direction, log: stream.log.newScope('circuit') });
    this.#stream = stream;
    stream.addEventListener('message', ({ data }) => this.onData(data));
    stream.addEventListener('drain', () => this.safeDispatchEvent('drain'));
    stream.addEventListener('close', ({ error }) => this.onTransportClosed(error));
    stream.addEventListener('remoteCloseWrite', () => {
      this.onRemoteCloseWrite();
      this.close().catch((error: Error) => this.abort(error));
    });
  }

  override sendData(data: Parameters<AbstractMultiaddrConnection['sendData']>[0]): SendResult {
    return { sentBytes: data.byteLength, canSendMore: this.#stream.send(data) };
  }

  override async sendClose(options?: AbortOptions): Promise<void> {
    await this.#stream.close(options);
  }

  override sendReset(): void {
    this.#stream.abort(new TypeError('the circuit was reset'));
  }

  override sendPause(): void {
    this.#stream.pause();
  }

  override sendResume(): void {
    this.#stream.resume();
  }
}
