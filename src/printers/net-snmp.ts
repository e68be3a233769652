/**
 * The package net-snmp with types, and with what it needs here: AES in CFB mode, which Deno's node:crypto has not
 * (RFC 3826 section 3.1), and a socket that hears nobody but the one agent that is asked, and not for ever.
 */
import { randomBytes } from 'node:crypto';
import { createSocket, type RemoteInfo } from 'node:dgram';
import { cfb } from '@noble/ciphers/aes.js';
import netSnmp from 'net-snmp';
import { snmpLimits } from '../limits.ts';

export interface Varbind {
  oid: string;
  type: number;
  value: unknown;
}

export interface User {
  name: string;
  level: number;
  authProtocol?: number;
  authKey?: string;
  privProtocol?: number;
  privKey?: string;
}

export interface Session {
  get(oids: readonly string[], done: Done<Varbind[]>): void;
  getNext(oids: readonly string[], done: Done<Varbind[]>): void;
  /** one list for each of `oids` */
  getBulk(oids: readonly string[], nonRepeaters: number, repetitions: number, done: Done<Varbind[][]>): void;
  on(event: 'error', listener: (error: Error) => void): void;
  close(): void;
  onSimpleGetResponse(request: Request, message: Message): void;
}

type Done<T> = (error: Error | null, answer: T) => void;

interface Request {
  responseCb(error: Error): void;
}

interface Message {
  hasAuthentication(): boolean | number | undefined;
  hasPrivacy(): boolean | number | undefined;
}

export interface Receiver {
  close(done?: () => void): void;
}

interface Engine {
  engineID: Uint8Array;
  engineBoots: number;
  engineTime: number;
}

interface Cipher {
  encryptPdu(
    pdu: Uint8Array,
    protocol: number,
    password: string,
    authProtocol: number,
    engine: Engine,
  ): { encryptedPdu: Uint8Array; msgPrivacyParameters: Uint8Array };
  decryptPdu(
    encrypted: Uint8Array,
    protocol: number,
    salt: Uint8Array,
    password: string,
    authProtocol: number,
    engine: Engine,
  ): Uint8Array;
  localizationAlgorithm(
    cipher: Cipher,
    authProtocol: number,
    password: string,
    engineID: Uint8Array,
  ): Uint8Array;
}

interface Library {
  Version1: number;
  Version2c: number;
  Version3: number;
  SecurityLevel: { authPriv: number; authNoPriv: number };
  AuthProtocols: Record<'md5' | 'sha' | 'sha224' | 'sha256' | 'sha384' | 'sha512', number>;
  PrivProtocols: Record<'aes' | 'aes256b' | 'aes256r', number>;
  ObjectType: Record<string, number>;
  createSession(target: string, community: string, options: object): Session;
  createV3Session(target: string, user: User, options: object): Session;
  createReceiver(options: object, heard: (error: Error | null, trap?: Trap) => void): Receiver;
  isVarbindError(varbind: Varbind): boolean;
  Authentication: { authToKeyCache: Record<string, unknown> };
  Encryption: {
    algorithms: Record<number, Cipher>;
    generateIvAes(cipher: Cipher, boots: number, time: number, salt: Uint8Array): Uint8Array;
  };
}

/** As the receiver hands it on. */
export interface Trap {
  rinfo: { address: string };
}

export const library: Library = netSnmp;

const { Authentication, Encryption, PrivProtocols } = library;
const saltBytes = 8;

// DES is left as it is: Deno has it not, and nobody should use it
for (const name of ['aes', 'aes256b', 'aes256r'] as const) {
  const cipher = Encryption.algorithms[PrivProtocols[name]];
  if (cipher === undefined) throw new TypeError(`net-snmp has no cipher ${name}`);
  const modeOf = (password: string, authProtocol: number, engine: Engine, salt: Uint8Array) => {
    const key = cipher.localizationAlgorithm(cipher, authProtocol, password, engine.engineID);
    const iv = Encryption.generateIvAes(cipher, engine.engineBoots, engine.engineTime, salt);
    return cfb(new Uint8Array(key), new Uint8Array(iv));
  };
  cipher.encryptPdu = (pdu, _protocol, password, authProtocol, engine) => {
    const salt = randomBytes(saltBytes);
    const mode = modeOf(password, authProtocol, engine, salt);
    return { encryptedPdu: Buffer.from(mode.encrypt(new Uint8Array(pdu))), msgPrivacyParameters: salt };
  };
  cipher.decryptPdu = (encrypted, _protocol, salt, password, authProtocol, engine) => {
    const mode = modeOf(password, authProtocol, engine, salt);
    return Buffer.from(mode.decrypt(new Uint8Array(encrypted)));
  };
}

/** Keys of engines are kept by the package for ever, and who answers chooses the engine's name. */
export function boundKeyCache(): void {
  if (Object.keys(Authentication.authToKeyCache).length >= snmpLimits.maxEngines) {
    Authentication.authToKeyCache = {};
  }
}

/**
 * What net-snmp makes its sockets with. Datagrams of others than the agent are not heard, nor those that are too long
 * or too many.
 * @param failed told when the socket does not work, or the agent says too much
 */
export function dgramTo(address: string, port: number, failed: (error: Error) => void): object {
  return {
    createSocket: (type: 'udp4' | 'udp6') => {
      const socket = createSocket(type);
      const heardAll = { datagrams: 0, bytes: 0 };
      return {
        ref: () => socket.ref(),
        unref: () => socket.unref(),
        close: () => socket.close(),
        bind: () => {},
        // the package knows a request by its answer only once it was told that it is sent: an agent on the same machine
        // may be quicker than that
        send: (
          buffer: Uint8Array,
          offset: number,
          length: number,
          to: number,
          host: string,
          done: (e: null) => void,
        ) => {
          socket.send(buffer, offset, length, to, host, (error) => {
            if (error) failed(error);
          });
          done(null);
        },
        on: (event: string, listener: (...args: unknown[]) => void) => {
          if (event === 'close') socket.on('close', listener);
          if (event === 'error') socket.on('error', failed);
          if (event !== 'message') return;
          socket.on('message', (datagram: Uint8Array, from: RemoteInfo) => {
            if (from.address !== address || from.port !== port) return;
            heardAll.datagrams += 1;
            heardAll.bytes += datagram.length;
            const { maxDatagrams, maxBytes, maxDatagramBytes } = snmpLimits;
            if (heardAll.datagrams > maxDatagrams || heardAll.bytes > maxBytes) {
              return failed(new Error('the agent says too much'));
            }
            if (datagram.length > maxDatagramBytes) {
              return failed(new Error('the agent says too much at once'));
            }
            try {
              listener(datagram, from);
            } catch (thrown) {
              failed(thrown instanceof Error ? thrown : new Error(String(thrown)));
            }
          });
        },
      };
    },
  };
}
