/** A stranger who asks for answers on and on, and reads none: pings of yamux, which every connection answers. */
import { noise } from '@chainsafe/libp2p-noise';
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys';
import type { MessageStream } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { generateHostKey } from '../../mesh/mod.ts';

/** version 0, type ping, flag SYN, stream 0, a value (yamux specification) */
const ping = Uint8Array.of(0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7);
const many = new Uint8Array(Buffer.concat(Array.from({ length: 2000 }, () => ping)));

/** Connects, and pings. @returns octets of pings that were sent until the node ended the connection */
export async function floodWithPings(address: string, signal: AbortSignal): Promise<number> {
  const ways: { plain: MessageStream; secured: MessageStream }[] = [];
  const encrypter: ReturnType<typeof noise> = (components) => {
    const inner = noise()(components);
    return {
      protocol: inner.protocol,
      secureInbound: (plain, options) => inner.secureInbound(plain, options),
      secureOutbound: async (plain, options) => {
        const secured = await inner.secureOutbound(plain, options);
        ways.push({ plain, secured: secured.connection });
        return secured;
      },
    };
  };
  const host = await createLibp2p({
    privateKey: privateKeyFromProtobuf((await generateHostKey()).hostKey),
    addresses: { listen: [] },
    transports: [tcp()],
    connectionEncrypters: [encrypter],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    connectionMonitor: { enabled: false },
  });
  try {
    await host.dial(multiaddr(address));
    const [{ plain, secured }] = ways as [typeof ways[number]];
    plain.pause();
    let sent = 0;
    while (plain.status === 'open' && secured.status === 'open') {
      signal.throwIfAborted();
      if (secured.send(many)) sent += many.length;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return sent;
  } finally {
    await host.stop();
  }
}
