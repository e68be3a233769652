/** Release-Job (RFC 8011 section 4.3.6), as an owner of a held job sends it to cupsd. */
import { encodeMessage, parseMessage } from '../../src/ipp/codec.ts';
import { charset, integer, nameAttribute, naturalLanguage, uri } from '../../src/ipp/message.ts';
import { groups, operations, statusName } from '../../src/ipp/registry.ts';
import { connectTo, readAnswer } from '../fakes/http-answer.ts';

/** Resolves when the printer has said that it goes on. @throws Error when it says something else */
export async function releaseJob(printer: string, job: number): Promise<void> {
  const url = new URL(printer.replace(/^ipp/, 'http'));
  const attributes = [
    charset('attributes-charset', 'utf-8'),
    naturalLanguage('attributes-natural-language', 'en'),
    uri('printer-uri', printer),
    integer('job-id', job),
    nameAttribute('requesting-user-name', 'anonymous'),
  ];
  const body = encodeMessage({
    version: 0x0101,
    code: operations['Release-Job'],
    requestId: 1,
    groups: [{ tag: groups['operation-attributes-tag'], attributes }],
  });
  const lines = [
    `POST ${url.pathname} HTTP/1.1`,
    `Host: ${url.host}`,
    'Content-Type: application/ipp',
    `Content-Length: ${body.length}`,
  ];
  const socket = await connectTo(url);
  try {
    socket.write(Buffer.concat([Buffer.from(lines.join('\r\n') + '\r\n\r\n'), body]));
    const answer = await readAnswer(socket);
    if (answer?.status !== 200) throw new Error(`the answer is HTTP ${answer?.status ?? 'missing'}`);
    const { code } = parseMessage(answer.body);
    if (code >= 0x0100) throw new Error(`the answer is ${statusName(code)}`);
  } finally {
    socket.destroy();
  }
}
