/** What every IPP request must satisfy before its operation looks at it (RFC 8011 section 4.1), and the answers. */
import { InkmeshError } from '../../mesh/errors.ts';
import { encodeMessage } from '../ipp/codec.ts';
import {
  type Attribute,
  attributesOf,
  charset,
  find,
  type Group,
  type IppMessage,
  naturalLanguage,
  stringOf,
  stringsOf,
  text,
  withinOctets,
} from '../ipp/message.ts';
import { groups, statuses, type StatusName, versions } from '../ipp/registry.ts';
import { submitLimits } from '../limits.ts';

/** An InkmeshError that is answered with exactly this status instead of the one of its code. */
export function refusal(status: StatusName, message: string): InkmeshError {
  return new InkmeshError('bad-request', message, { ipp: status });
}

const statusOfCode: Readonly<Record<InkmeshError['code'], StatusName>> = {
  'bad-request': 'client-error-bad-request',
  unauthenticated: 'client-error-not-authenticated',
  forbidden: 'client-error-forbidden',
  'not-found': 'client-error-not-found',
  busy: 'server-error-busy',
  conflict: 'client-error-not-possible',
  'too-large': 'client-error-request-entity-too-large',
  unavailable: 'server-error-service-unavailable',
  timeout: 'server-error-temporary-error',
  corrupt: 'server-error-temporary-error',
  internal: 'server-error-internal-error',
};

export interface Reply {
  status: StatusName;
  /** status-message, for people */
  message?: string;
  /** further operation attributes */
  operation?: Attribute[];
  /** attributes and values that were not taken (RFC 8011 section 4.1.7) */
  unsupported?: Attribute[];
  groups?: Group[];
}

/** Whether only a log may have the particulars. */
export function isInternal(thrown: unknown): boolean {
  return !(thrown instanceof InkmeshError) || thrown.code === 'internal';
}

/** The answer to a request that failed. What is not a domain error is not shown. */
export function failure(thrown: unknown): Reply {
  if (!(thrown instanceof InkmeshError) || isInternal(thrown)) {
    return { status: 'server-error-internal-error', message: 'this node failed: look at its log' };
  }
  const own = thrown.about['ipp'];
  const status = own !== undefined && own in statuses ? own as StatusName : statusOfCode[thrown.code];
  return { status, message: thrown.message };
}

/** status-message is at most 255 octets (RFC 8011 section 4.1.6.2) */
const maxMessageBytes = 255;

export function encodeReply(request: Pick<IppMessage, 'version' | 'requestId'>, reply: Reply): Uint8Array {
  const operation = [
    charset('attributes-charset', 'utf-8'),
    naturalLanguage('attributes-natural-language', 'en'),
  ];
  if (reply.message !== undefined) {
    operation.push(text('status-message', withinOctets(reply.message, maxMessageBytes)));
  }
  operation.push(...reply.operation ?? []);
  const unsupported = { tag: groups['unsupported-attributes-tag'], attributes: reply.unsupported ?? [] };
  return encodeMessage({
    version: replyVersion(request.version),
    code: statuses[reply.status],
    requestId: request.requestId,
    groups: [
      { tag: groups['operation-attributes-tag'], attributes: operation },
      ...(unsupported.attributes.length > 0 ? [unsupported] : []),
      ...(reply.groups ?? []),
    ],
  });
}

const isSupported = (version: number) => version >> 8 === 1 || version >> 8 === 2;

/** The closest version to the one that was asked for (RFC 8011 section 4.1.8). */
function replyVersion(asked: number): number {
  if (isSupported(asked)) return asked;
  return asked < versions['1.1'] ? versions['1.1'] : versions['2.2'];
}

/**
 * Checks version, request-id, and that charset and language come first.
 * @returns the operation attributes
 * @throws InkmeshError with the status that RFC 8011 asks for
 */
export function checkRequest(message: IppMessage): Attribute[] {
  if (!isSupported(message.version)) {
    throw refusal('server-error-version-not-supported', 'use an IPP version from 1.1 to 2.2');
  }
  if (message.requestId <= 0) throw refusal('client-error-bad-request', 'the request-id must be positive');
  if (message.groups[0]?.tag !== groups['operation-attributes-tag']) {
    throw refusal('client-error-bad-request', 'the operation attributes must come first');
  }
  for (const group of message.groups) {
    if (new Set(group.attributes.map((attribute) => attribute.name)).size < group.attributes.length) {
      throw refusal('client-error-bad-request', 'an attribute occurs twice in one group');
    }
  }
  const operation = attributesOf(message, groups['operation-attributes-tag']);
  const [first, second] = operation;
  const firstCharset = syntaxValue(first, 'attributes-charset', 'charset');
  if (
    firstCharset === undefined ||
    syntaxValue(second, 'attributes-natural-language', 'naturalLanguage') === undefined
  ) {
    const message = 'attributes-charset and attributes-natural-language must come first';
    throw refusal('client-error-bad-request', message);
  }
  if (!['utf-8', 'us-ascii'].includes(firstCharset.toLowerCase())) {
    throw refusal('client-error-charset-not-supported', 'use the charset utf-8');
  }
  return operation;
}

function syntaxValue(attribute: Attribute | undefined, name: string, syntax: string): string | undefined {
  const value = attribute?.values[0];
  const fits = attribute?.name === name && attribute.values.length === 1 && value?.syntax === syntax;
  return fits ? stringOf(value) : undefined;
}

/** The names of `requested-attributes`, each once. @throws InkmeshError when there are more than any client asks for */
export function requestedNames(operation: readonly Attribute[]): string[] {
  const names = [...new Set(stringsOf(operation, 'requested-attributes'))];
  if (names.length <= submitLimits.maxRequested) return names;
  throw refusal('client-error-bad-request', 'too many attributes are asked for');
}

/** The one uri of an attribute. @throws InkmeshError when it is there and is no uri */
export function uriValue(attributes: readonly Attribute[], name: string): URL | undefined {
  const attribute = find(attributes, name);
  if (attribute === undefined) return undefined;
  const value = syntaxValue(attribute, name, 'uri');
  if (value === undefined || !URL.canParse(value)) {
    throw refusal('client-error-bad-request', `${name} is not a uri`);
  }
  return new URL(value);
}

/** The one value of an attribute that must be a boolean if it is there. */
export function booleanValue(attributes: readonly Attribute[], name: string): boolean | undefined {
  const values = find(attributes, name)?.values;
  if (values === undefined) return undefined;
  const [value] = values;
  if (values.length === 1 && value?.syntax === 'boolean') return value.value;
  throw refusal('client-error-bad-request', `${name} is not a boolean`);
}

/** The one value of an attribute that must be an integer from `min` to 2^31-1 if it is there. */
export function integerValue(
  attributes: readonly Attribute[],
  name: string,
  min: number,
): number | undefined {
  const values = find(attributes, name)?.values;
  if (values === undefined) return undefined;
  const [value] = values;
  if (values.length === 1 && value?.syntax === 'integer' && value.value >= min) return value.value;
  throw refusal('client-error-bad-request', `${name} is not an integer from ${min}`);
}

/** The one value of an attribute that must be of this textual syntax if it is there. */
export function stringValue(
  attributes: readonly Attribute[],
  name: string,
  syntax: string,
): string | undefined {
  const attribute = find(attributes, name);
  if (attribute === undefined) return undefined;
  const value = syntaxValue(attribute, name, syntax);
  if (value === undefined) throw refusal('client-error-bad-request', `${name} is not one ${syntax}`);
  return value;
}
