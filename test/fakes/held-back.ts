/** That a front takes a document no faster than its door stores it. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import * as assert from 'uvu/assert';
import type { MemoryDoor } from './ipp-door.ts';
import { untilStalled } from './processes.ts';

/**
 * Sends 64 MiB while the door is shut, sees the client held back, and opens the door.
 * @param client has sent nothing yet
 * @param head what comes before the document, `end` what comes after it
 * @returns the HTTP status
 */
export async function sendHeldBack(
  door: MemoryDoor,
  client: ClientRequest,
  head: Uint8Array | string,
  end = '',
): Promise<number | undefined> {
  const open = door.shut();
  const answered = once(client, 'response') as Promise<[IncomingMessage]>;
  if (head.length > 0) client.write(head);
  const chunk = randomBytes(64 * 1024);
  const chunks = 1024;
  let sent = 0;
  const sending = (async () => {
    for (; sent < chunks; sent++) if (!client.write(chunk)) await once(client, 'drain');
    client.end(end);
  })();
  await untilStalled(() => sent, { deadline_ms: 20_000, what: 'the client to stall' });
  assert.ok(sent < chunks / 2, `${sent} of ${chunks} chunks were taken while the door was shut`);
  assert.ok(door.read <= 256 * 1024, `${door.read} octets were read from a shut door`);
  open();
  await sending;
  const [response] = await answered;
  response.resume();
  assert.is(door.submitted[0]?.bytes, chunks * chunk.length);
  return response.statusCode;
}
