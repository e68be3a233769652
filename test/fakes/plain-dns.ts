/**
 * `plain-dns.ts NAME TYPE`: asks the LAN like a client that knows DNS but not mDNS (RFC 6762 section 6.7), from a port
 * of its own, and prints the first answer as JSON.
 */
import process from 'node:process';
import multicastDns, { type QueryPacket } from 'multicast-dns';

const [name = '', type = ''] = process.argv.slice(2);
type Question = NonNullable<QueryPacket['questions']>[number];
const questions = [{ name, type } as Question];
const socket = multicastDns({ port: 0, multicast: false });
socket.on('response', ({ id, questions: asked, answers }) => {
  console.log(JSON.stringify({ id, asked, answers }));
  process.exit(0);
});
socket.query({ id: 4711, questions }, { address: '224.0.0.251', port: 5353 });
