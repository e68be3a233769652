/** IPP requests to the front, without a network, and what tests look for in its answers. */
import { encodeMessage, parseMessage } from '../../src/ipp/codec.ts';
import * as ipp from '../../src/ipp/message.ts';
import { type Attribute, attributesOf, type Group, type IppMessage } from '../../src/ipp/message.ts';
import { groups, type OperationName, operations, statusName } from '../../src/ipp/registry.ts';
import { ippApp } from '../../src/submit/ipp.ts';
import { MemoryDoor, token } from './ipp-door.ts';

export const printer = `ipps://print.example:9265/ipp/print/${token}`;
export const head = [
  ipp.charset('attributes-charset', 'utf-8'),
  ipp.naturalLanguage('attributes-natural-language', 'en'),
];
export const target = ipp.uri('printer-uri', printer);
export const pdf = new TextEncoder().encode('%PDF-1.4');

export const jobOf = (message: IppMessage) => attributesOf(message, groups['job-attributes-tag']);
export const unsupportedOf = (message: IppMessage) =>
  attributesOf(message, groups['unsupported-attributes-tag']);

export interface Asked {
  /** without charset, language and printer unless told */
  operation?: Attribute[];
  job?: Attribute[];
  further?: Group[];
  document?: Uint8Array;
  version?: number;
  requestId?: number;
  /** of the HTTP request */
  path?: string;
  headers?: Record<string, string>;
}

function encoded(name: OperationName, asked: Asked): Uint8Array {
  const all = [{ tag: groups['operation-attributes-tag'], attributes: asked.operation ?? [...head, target] }];
  if (asked.job !== undefined) all.push({ tag: groups['job-attributes-tag'], attributes: asked.job });
  return encodeMessage({
    version: asked.version ?? 0x200,
    code: operations[name],
    requestId: asked.requestId ?? 5,
    groups: [...all, ...asked.further ?? []],
  });
}

export type Answer = IppMessage & { status: string };

export function client(door = new MemoryDoor()) {
  const logged: Record<string, unknown>[] = [];
  const app = ippApp(door, (level, what, fields) => logged.push({ level, what, ...fields }));
  const get = async (path: string) => await app.request(`https://print.example:9265${path}`);
  const post = async (body: Uint8Array, path = `/ipp/print/${token}`, headers: Record<string, string> = {}) =>
    await app.request(`https://print.example:9265${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/ipp', ...headers },
      body: new Uint8Array(body),
    });
  const ask = async (name: OperationName, asked: Asked = {}): Promise<Answer> => {
    const body = Uint8Array.from([...encoded(name, asked), ...asked.document ?? []]);
    const response = await post(body, asked.path, asked.headers);
    if (response.status !== 200) throw new Error(`HTTP status ${response.status}`);
    const message = parseMessage(new Uint8Array(await response.arrayBuffer()));
    return { ...message, status: statusName(message.code) };
  };
  return { door, get, post, ask, logged };
}
