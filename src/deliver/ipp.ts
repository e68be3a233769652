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
import type { Delivery, Outcome, Probe } from './deliver.ts';
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
import { cancel, type Ending, follow, pause } from './ipp-job.ts';
import { IppSession } from './ipp-session.ts';
import { reasonOf, Source } from './source.ts';

/** @returns `printed` only when the printer said that the job is completed */
export async function deliverIpp(delivery: Delivery): Promise<Outcome> {
  const { printer, ticket, user, signal } = delivery;
  const session = new IppSession(new URL(printer.uri), user, { fingerprint: printer.fingerprint });
  const source = new Source(delivery);
  try {
    const found = await capabilities(session, signal).catch(reasonOf);
    const reason = typeof found === 'string' ? found : obstacle(found, ticket);
    if (typeof found === 'string' || reason !== undefined) {
      return { outcome: 'failed', ...(reason && { reason }) };
    }
    await delivery.begin();
    const job = template(found, ticket);
    const separate = hasOperation(found, 'Create-Job') && hasOperation(found, 'Send-Document');
    const ending = await (separate ? createAndSend : printJob)(session, delivery, source, job.attributes);
    return { ...noted(ending, job), ...source.times };
  } finally {
    session.close();
  }
}

function noted(ending: Ending, { without }: Template): Ending {
  if (ending.outcome !== 'printed' || without.length === 0) return ending;
  return { outcome: 'printed', reason: `printed without what the printer cannot do: ${without.join(', ')}` };
}

const jobName = ({ ticket }: Delivery) => nameAttribute('job-name', withinOctets(ticket.title, 255));
const format = ({ ticket }: Delivery) => mimeMediaType('document-format', ticket.format);

/** In two steps, so that the printer's job is known, and can be cancelled, before the first octet of the document. */
async function createAndSend(
  session: IppSession,
  delivery: Delivery,
  source: Source,
  job: Attribute[],
): Promise<Ending> {
  const { signal } = delivery;
  let id: number;
  try {
    id = await createJob(session, delivery, job);
  } catch (thrown) {
    return { outcome: 'failed', reason: reasonOf(thrown) };
  }
  let answered = false;
  try {
    const attributes = [integer('job-id', id), format(delivery), boolean('last-document', true)];
    const answer = await session.send({ operation: 'Send-Document', attributes }, source, signal);
    if (!isSuccess(answer)) {
      return await cancel(session, id, `the printer refused: ${refusalOf(answer)}`, false);
    }
    if (!source.complete) return await cancel(session, id, notTaken, false);
    answered = true;
  } catch (thrown) {
    // with the whole document in its hands the printer may go on although its answer was lost
    if (!source.complete || signal.aborted) {
      const ending = await cancel(session, id, reasonOf(thrown), source.complete);
      return source.begun ? ending : { outcome: 'failed', reason: reasonOf(thrown) };
    }
  }
  return await follow(session, id, answered, signal);
}

const notTaken = 'the printer closed the connection before it had the whole document';

/** The printer's number of the job. A busy printer is asked again for a while. @throws InkmeshError */
async function createJob(session: IppSession, delivery: Delivery, job: Attribute[]): Promise<number> {
  const end = performance.now() + deliverLimits.busy_ms;
  while (true) {
    const asked = { operation: 'Create-Job', attributes: [jobName(delivery)], job } as const;
    const answer = await session.ask(asked, delivery.signal);
    const id = firstNumber(attributesOf(answer, groups['job-attributes-tag']), 'job-id');
    if (isSuccess(answer) && id !== undefined) return id;
    if (answer.code !== statuses['server-error-busy'] || performance.now() > end) {
      throw new InkmeshError('unavailable', `the printer refused the job: ${refusalOf(answer)}`);
    }
    await pause(deliverLimits.busyRetry_ms, delivery.signal);
  }
}

/** In one step, for printers that know no other. Their job is not known until they have the whole document. */
async function printJob(
  session: IppSession,
  delivery: Delivery,
  source: Source,
  job: Attribute[],
): Promise<Ending> {
  const { signal } = delivery;
  try {
    const attributes = [jobName(delivery), format(delivery)];
    const answer = await session.send({ operation: 'Print-Job', attributes, job }, source, signal);
    if (!isSuccess(answer)) {
      const reason = `the printer refused: ${refusalOf(answer)}`;
      return { outcome: madeNoJob(answer.code) ? 'failed' : 'interrupted', reason };
    }
    const id = firstNumber(attributesOf(answer, groups['job-attributes-tag']), 'job-id');
    if (!source.complete) {
      if (id === undefined) return { outcome: 'interrupted', reason: notTaken };
      return await cancel(session, id, notTaken, false);
    }
    return id === undefined ? { outcome: 'sent' } : await follow(session, id, true, signal);
  } catch (thrown) {
    return { outcome: source.begun ? 'interrupted' : 'failed', reason: reasonOf(thrown) };
  }
}

/** Answers by which a printer says that it took nothing (RFC 8011 appendix B.1.4 and B.1.5.8). */
function madeNoJob(code: number): boolean {
  return code >> 8 === 0x04 || code === statuses['server-error-busy'];
}

/** Takes any certificate, and reports which one it was. */
export async function probeIpp(uri: URL): Promise<Probe> {
  const session = new IppSession(uri, 'inkmesh');
  const signal = AbortSignal.timeout(deliverLimits.request_ms);
  try {
    const found = await printerAttributes(
      session,
      ['printer-make-and-model', 'document-format-supported'],
      signal,
    );
    const [makeAndModel] = stringsOf(found, 'printer-make-and-model');
    return {
      ...(session.fingerprint === undefined ? {} : { fingerprint: session.fingerprint }),
      ...(makeAndModel === undefined ? {} : { makeAndModel }),
      formats: stringsOf(found, 'document-format-supported'),
    };
  } finally {
    session.close();
  }
}
