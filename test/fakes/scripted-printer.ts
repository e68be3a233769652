/** An IPP printer that misbehaves as a test tells it to. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encodeMessage } from '../../src/ipp/codec.ts';
import {
  type Attribute,
  charset,
  enumeration,
  type Group,
  integer,
  keyword,
  mimeMediaType,
  naturalLanguage,
} from '../../src/ipp/message.ts';
import {
  groups,
  jobStateEnum,
  type OperationName,
  operations,
  printerStateEnum,
  statuses,
  type StatusName,
} from '../../src/ipp/registry.ts';
import { readMessage } from '../../src/ipp/stream.ts';

export interface Exchange {
  /** of Send-Document and Print-Job, unread */
  document: AsyncIterable<Uint8Array>;
  /** Sends the whole answer, at any time and once. */
  answer(status?: StatusName, job?: Attribute[]): void;
  /** Resets the connection. */
  breakOff(): void;
}

export interface ScriptedPrinter {
  readonly uri: string;
  /** what came, in order */
  readonly asked: OperationName[];
  /** octets of documents that were read */
  received: number;
  /** what it says of itself */
  state: keyof typeof printerStateEnum;
  reasons: string[];
  /** instead of what it says otherwise of itself */
  attributes: Attribute[];
  /** it says nothing of itself before this has resolved */
  before: Promise<void>;
  /** that were made */
  connections: number;
  /** Closes connections on which nothing goes on. */
  closeIdle(): void;
  stop(): Promise<void>;
}

export type Script = Partial<Record<OperationName, (exchange: Exchange) => void | Promise<void>>>;

const names = new Map(Object.entries(operations).map(([name, code]) => [code, name as OperationName]));
const jobNumber = 7;
export const stateOf = (state: keyof typeof jobStateEnum) => enumeration('job-state', jobStateEnum[state]);

/** Reads a document to its end. */
export async function readAll(document: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of document) void chunk;
}

/** @param script what it does with these operations; all others it answers well, and its job is completed */
export async function startScriptedPrinter(script: Script): Promise<ScriptedPrinter> {
  // it supports one of both ways, like old and new printers
  const separate = script['Print-Job'] === undefined;
  const supported = separate ? ['Create-Job', 'Send-Document'] as const : ['Print-Job'] as const;
  const printer = enumeration('operations-supported', ...supported.map((name) => operations[name]));
  const server = createServer((request, response) => void serve(request, response).catch(() => {}));
  server.on('connection', () => made.connections += 1);
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const { message, document } = await readMessage(request);
    const name = names.get(message.code) ?? 'Get-Jobs';
    made.asked.push(name);
    const answer = (status: StatusName, groups: Group[]) =>
      reply(response, message.requestId, status, groups);
    if (name === 'Get-Printer-Attributes') {
      await made.before;
      const attributes = said(made, printer);
      return answer('successful-ok', [{ tag: groups['printer-attributes-tag'], attributes }]);
    }
    const exchange: Exchange = {
      document: counted(document),
      answer: (status = 'successful-ok', job = [integer('job-id', jobNumber), stateOf('completed')]) =>
        answer(status, [{ tag: groups['job-attributes-tag'], attributes: job }]),
      breakOff: () => void request.socket.resetAndDestroy(),
    };
    const scripted = script[name];
    if (scripted !== undefined) return await scripted(exchange);
    await readAll(exchange.document);
    exchange.answer();
  };
  async function* counted(document: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of document) {
      made.received += chunk.length;
      yield chunk;
    }
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const made: ScriptedPrinter = {
    uri: `ipp://127.0.0.1:${port}/ipp/print`,
    asked: [],
    received: 0,
    state: 'idle',
    reasons: [],
    attributes: [],
    before: Promise.resolve(),
    connections: 0,
    closeIdle: () => server.closeIdleConnections(),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return made;
}

/** What it says of itself. */
function said({ state, reasons, attributes }: ScriptedPrinter, supported: Attribute): Attribute[] {
  const usual = [
    enumeration('printer-state', printerStateEnum[state]),
    keyword('printer-state-reasons', ...(reasons.length > 0 ? reasons : ['none'])),
    supported,
    mimeMediaType('document-format-supported', 'application/pdf'),
  ];
  const instead = new Set(attributes.map(({ name }) => name));
  return [...usual.filter(({ name }) => !instead.has(name)), ...attributes];
}

function reply(response: ServerResponse, requestId: number, status: StatusName, job: Group[]): void {
  const operation = [
    charset('attributes-charset', 'utf-8'),
    naturalLanguage('attributes-natural-language', 'en'),
  ];
  response.writeHead(200, { 'content-type': 'application/ipp' });
  response.end(encodeMessage({
    version: 0x0200,
    code: statuses[status],
    requestId,
    groups: [{ tag: groups['operation-attributes-tag'], attributes: operation }, ...job],
  }));
}
