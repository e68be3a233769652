/** What is known of IPP printers for some seconds: connections that are idle, and what they can do. */
import { Agent } from 'node:http';
import type { Socket } from 'node:net';
import { remember } from '../../mesh/remember.ts';
import type { Attribute } from '../ipp/message.ts';
import type { DeliverLimits } from '../limits.ts';

/** Always yields the connection that was opened and checked, and never another one. */
export class OneConnection extends Agent {
  readonly socket: Socket;

  constructor(socket: Socket) {
    super({ keepAlive: true, maxSockets: 1 });
    this.socket = socket;
  }

  override createConnection(): Socket {
    return this.socket;
  }

  get usable(): boolean {
    return !this.socket.destroyed && this.socket.writable && !this.socket.readableEnded;
  }

  close(): void {
    this.destroy();
    this.socket.destroy();
  }
}

interface Idle {
  readonly connection: OneConnection;
  readonly timer: ReturnType<typeof setTimeout>;
}

export class IppPool {
  readonly #limits: DeliverLimits;
  readonly #idle = new Map<string, Idle[]>();
  readonly #capabilities = new Map<string, { attributes: Attribute[]; until_ms: number }>();

  constructor(limits: DeliverLimits) {
    this.#limits = limits;
  }

  /** A connection that was used before. @param key of the address, and of the certificate that it was checked for */
  take(key: string): OneConnection | undefined {
    const idle = this.#idle.get(key) ?? [];
    for (;;) {
      const last = idle.pop();
      if (idle.length === 0) this.#idle.delete(key);
      if (last === undefined) return undefined;
      clearTimeout(last.timer);
      if (last.connection.usable) return last.connection;
      last.connection.close();
    }
  }

  give(key: string, connection: OneConnection): void {
    const idle = this.#idle.get(key) ?? [];
    const isFull = idle.length >= this.#limits.maxIdlePerPrinter ||
      (idle.length === 0 && this.#idle.size >= this.#limits.maxPrinters);
    if (!connection.usable || isFull) return connection.close();
    this.#idle.set(key, idle);
    const timer = setTimeout(() => {
      idle.splice(idle.indexOf(entry), 1);
      if (idle.length === 0) this.#idle.delete(key);
      connection.close();
    }, this.#limits.idle_ms);
    const entry = { connection, timer };
    idle.push(entry);
  }

  /** What a printer has said that it can do, a moment ago. */
  capabilities(key: string): Attribute[] | undefined {
    const known = this.#capabilities.get(key);
    return known !== undefined && performance.now() < known.until_ms ? known.attributes : undefined;
  }

  learn(key: string, attributes: Attribute[]): void {
    const until_ms = performance.now() + this.#limits.capabilitiesLife_ms;
    this.#capabilities.delete(key);
    remember(this.#capabilities, key, { attributes, until_ms }, this.#limits.maxPrinters);
  }

  forget(key: string): void {
    this.#capabilities.delete(key);
  }

  close(): void {
    for (const { connection, timer } of [...this.#idle.values()].flat()) {
      clearTimeout(timer);
      connection.close();
    }
    this.#idle.clear();
  }
}
