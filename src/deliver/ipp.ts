/** Delivery to IPP printers, with and without TLS (RFC 8011). */
import { InkmeshError } from '../../mesh/errors.ts';
import {
  type Attribute,
  attributesOf,
  boolean,
  firstNumber,
  integer,
  mimeMediaType,
  nameAttribute,
  stringsOf,
  withinOctets,
} from '../ipp/message.ts';
import { groups, statuses } from '../ipp/registry.ts';
import { deliverLimits } from '../limits.ts';
import type { Attempt, Attempted, Delivery, Probe } from './deliver.ts';
import {
  capabilities,
  hasOperation,
  isSuccess,
  obstacle,
  printerAttributes,
  refusalOf,
  type Template,
  template,
} from './ipp-capabilities.ts';
import { cancel, follow } from './ipp-job.ts';
import { IppSession } from './ipp-session.ts';
import { printerOptions } from './printer-options.ts';
import { pause, reasonOf, Source } from './source.ts';

/** @returns `printed` only when the printer said that the job is completed */
export async function deliverIpp(attempt: Attempt): Promise<Attempted> {
  const { printer, ticket, user, target, limits, pool } = attempt;
  const pin = { printer: printer.name, fingerprint: printer.fingerprint };
  const session = new IppSession({ ...{ uri: target, user, limits, pin, pool } });
  const source = new Source(attempt);
  let clean = false;
  try {
    const found = await known(session, attempt).catch(unreached);
    if (!Array.isArray(found)) return found;
    const reason = obstacle(found, ticket);
    if (reason !== undefined) {
      pool.forget(session.key);
      return { outcome: 'failed', reason };
    }
    await attempt.begin();
    const job = template(found, ticket);
    const separate = hasOperation(found, 'Create-Job') && hasOperation(found, 'Send-Document');
    const ending = await (separate ? createAndSend : printJob)(session, attempt, source, job.attributes);
    clean = ending.outcome === 'printed';
    return { ...noted(ending, job), ...source.times };
  } finally {
    if (clean) session.release();
    else session.close();
  }
}

/** What the printer can do, as it said some seconds ago at most. */
async function known(session: IppSession, { pool, signal }: Attempt): Promise<Attribute[]> {
  const before = pool.capabilities(session.key);
  if (before !== undefined) return before;
  const found = await capabilities(session, signal);
  pool.learn(session.key, found);
  return found;
}

/** Another address of the printer may do, but none does for one that shows a wrong certificate. */
function unreached(thrown: unknown): Attempted {
  const failed: Attempted = { outcome: 'failed', reason: reasonOf(thrown) };
  if (!(thrown instanceof InkmeshError)) return failed;
  const { shown } = thrown.about;
  if (shown !== undefined) return { ...failed, wrongCertificate: shown };
  return ['unavailable', 'timeout'].includes(thrown.code) ? { ...failed, elsewhere: true } : failed;
}

function noted(ending: Attempted, { without }: Template): Attempted {
  if (ending.outcome !== 'printed' || without.length === 0) return ending;
  return { outcome: 'printed', reason: `printed without what the printer cannot do: ${without.join(', ')}` };
}

const jobName = ({ ticket }: Delivery) => nameAttribute('job-name', withinOctets(ticket.title, 255));
const format = ({ ticket }: Delivery) => mimeMediaType('document-format', ticket.format);

/** In two steps, so that the printer's job is known, and can be cancelled, before the first octet of the document. */
async function createAndSend(
  session: IppSession,
  attempt: Attempt,
  source: Source,
  job: Attribute[],
): Promise<Attempted> {
  const { signal } = attempt;
  let id: number;
  try {
    id = await createJob(session, attempt, job);
  } catch (thrown) {
    attempt.pool.forget(session.key);
    return unreached(thrown);
  }
  const at = { session, id, attempt };
  let answered = false;
  try {
    const attributes = [integer('job-id', id), format(attempt), boolean('last-document', true)];
    const answer = await session.send({ operation: 'Send-Document', attributes }, source, signal);
    if (!isSuccess(answer)) return await cancel(at, `the printer refused: ${refusalOf(answer)}`, false);
    if (!source.complete) return await cancel(at, notTaken, false);
    answered = true;
  } catch (thrown) {
    // with the whole document in its hands the printer may go on although its answer was lost
    if (!source.complete || signal.aborted) {
      const ending = await cancel(at, reasonOf(thrown), source.complete);
      if (source.begun) return ending;
      const failed: Attempted = { outcome: 'failed', reason: reasonOf(thrown) };
      return source.asked ? failed : { ...unreached(thrown), ...failed };
    }
  }
  return await follow(at, answered);
}

const notTaken = 'the printer closed the connection before it had the whole document';

/**
 * The printer's number of the job. A busy printer is asked again for a while.
 * @throws InkmeshError `conflict` when it refuses, and what `ask` throws
 */
async function createJob(session: IppSession, attempt: Attempt, job: Attribute[]): Promise<number> {
  const { limits, signal, waiting } = attempt;
  const start_ms = performance.now();
  while (true) {
    const asked = { operation: 'Create-Job', attributes: [jobName(attempt)], job } as const;
    const answer = await session.ask(asked, signal);
    const id = firstNumber(attributesOf(answer, groups['job-attributes-tag']), 'job-id');
    if (isSuccess(answer) && id !== undefined) {
      waiting.note(null);
      return id;
    }
    if (answer.code !== statuses['server-error-busy']) {
      throw new InkmeshError('conflict', `the printer refused the job: ${refusalOf(answer)}`);
    }
    waiting.note('the printer is busy with something else');
    const eager = performance.now() - start_ms < limits.busyEager_ms;
    await pause(eager ? limits.busyRetry_ms : limits.look_ms, signal);
  }
}

/** In one step, for printers that know no other. Their job is not known until they have the whole document. */
async function printJob(
  session: IppSession,
  attempt: Attempt,
  source: Source,
  job: Attribute[],
): Promise<Attempted> {
  const { signal } = attempt;
  try {
    const attributes = [jobName(attempt), format(attempt)];
    const answer = await session.send({ operation: 'Print-Job', attributes, job }, source, signal);
    if (!isSuccess(answer)) {
      const reason = `the printer refused: ${refusalOf(answer)}`;
      return { outcome: madeNoJob(answer.code) ? 'failed' : 'interrupted', reason };
    }
    const id = firstNumber(attributesOf(answer, groups['job-attributes-tag']), 'job-id');
    const at = id === undefined ? undefined : { session, id, attempt };
    if (!source.complete) {
      return at === undefined
        ? { outcome: 'interrupted', reason: notTaken }
        : await cancel(at, notTaken, false);
    }
    return at === undefined ? { outcome: 'sent' } : await follow(at, true);
  } catch (thrown) {
    if (!source.asked) return unreached(thrown);
    const maybe = source.begun && !wasRefused(thrown);
    return { outcome: maybe ? 'interrupted' : 'failed', reason: reasonOf(thrown) };
  }
}

/** Statuses that follow from the head of a request alone (RFC 9110 section 15.5). */
const ofHead = new Set(['401', '403', '404', '405', '411', '415', '417', '426']);

/** Whether HTTP itself says that the printer has taken nothing: with any other status it may have begun to print. */
function wasRefused(thrown: unknown): boolean {
  return thrown instanceof InkmeshError && ofHead.has(thrown.about['status'] ?? '');
}

/** Answers by which a printer says that it took nothing (RFC 8011 appendix B.1.4 and B.1.5.8). */
function madeNoJob(code: number): boolean {
  return code >> 8 === 0x04 || code === statuses['server-error-busy'];
}

const probed = [
  'printer-make-and-model',
  'document-format-supported',
  'copies-supported',
  'sides-supported',
  'print-color-mode-supported',
  'media-supported',
  'page-ranges-supported',
  'finishings-supported',
];

/** Takes any certificate, and reports which one it was. */
export async function probeIpp(uri: URL): Promise<Probe> {
  const session = new IppSession({ uri, user: 'inkmesh', limits: deliverLimits });
  const signal = AbortSignal.timeout(deliverLimits.request_ms);
  try {
    const found = await printerAttributes(session, probed, signal);
    const [makeAndModel] = stringsOf(found, 'printer-make-and-model');
    return {
      ...(session.fingerprint === undefined ? {} : { fingerprint: session.fingerprint }),
      ...(makeAndModel === undefined ? {} : { makeAndModel }),
      formats: stringsOf(found, 'document-format-supported'),
      options: printerOptions(found),
    };
  } finally {
    session.close();
  }
}
