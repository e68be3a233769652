/** The command by which jobs come out: one, several, or all that are held. */
import { setTimeout } from 'node:timers/promises';
import { encode } from '../../mesh/codec.ts';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import { signGrant } from '../../mesh/mod.ts';
import type { Printer } from '../directory.ts';
import type { JobOptions, JobView } from '../job.ts';
import type { Released } from '../release/release.ts';
import { type Client, isCutOff, userClient } from './client.ts';
import { type Args, type Command, option, type Result, type Terminal, UsageError } from './command.ts';
import { delivererFor } from './deliverer.ts';
import { common, jobOptions, template, templateUsage } from './job-options.ts';

/** how many jobs are under way at a time: each grant is signed when its turn has come, as it lasts two minutes */
const abreast = 8;
/** how long formats are waited for: nodes that sleep make lists slow */
const formats_ms = 200;

export const release: Command = {
  name: 'release',
  usage: `ID... | --all --printer NAME --dir DIR ${templateUsage} [--confirm-reprint CLAIM]...`,
  about: 'print jobs now: one, several, or all that are held',
  options: {
    ...{ ...common, ...template, printer: option.text },
    ...{ all: option.flag, 'confirm-reprint': option.list },
  },
  positionals: 'any',
  run: async (args, terminal): Promise<Result> => {
    const { positionals } = args;
    const all = args.flag('all');
    if (all === positionals.length > 0) throw new UsageError('give the IDs of jobs, or --all');
    const asked = await userClient(args);
    const printer = args.required('printer');
    const [client, jobs] = await Promise.all([
      delivererFor(asked, printer),
      all ? heldBy(asked) : named(asked, positionals, printer),
    ]);
    const order = orderOf(client, args);
    const [first] = jobs;
    if (!all && jobs.length === 1 && first !== undefined) {
      const released = await releaseOne(order, first, (line) => showStep(terminal, 'printing', line));
      return { json: released, text: sentenceOf(released), code: isOut(released) ? 0 : 1 };
    }
    return await releaseMany(order, jobs, terminal);
  },
};

/** Where jobs go, and how. */
export interface Order {
  client: Client;
  printer: string;
  options: JobOptions;
  confirm: string[];
}

export interface Job {
  id: string;
  /** MIME media type, where it is known */
  format?: string | null;
}

/** A line of the answer to a release. */
export interface Step {
  sent?: number;
  total?: number;
  waiting?: string | null;
  result?: Released;
  error?: string;
}

function orderOf(client: Client, args: Args): Order {
  const confirm = args.list('confirm-reprint');
  return { client, printer: args.required('printer'), options: jobOptions(args), confirm };
}

async function heldBy(client: Client): Promise<Job[]> {
  const list = await client.get<JobView[]>('/v1/jobs', { headers: await client.viewHeader() });
  return list.filter(({ state }) => state === 'held').reverse();
}

/** Their formats are asked for where the printer is known not to take all; what takes long is not worth it. */
async function named(client: Client, ids: readonly string[], printer: string): Promise<Job[]> {
  const plain = ids.map((id) => ({ id }));
  const printers = await client.get<Printer[]>('/v1/printers');
  if (printers.find(({ name }) => name === printer)?.formats === undefined) return plain;
  const headers = await client.viewHeader();
  const listed = client.get<JobView[]>('/v1/jobs', { headers }).catch((): JobView[] => []);
  const list = await Promise.race([listed, setTimeout(formats_ms, [], { ref: false })]);
  const formats = new Map(list.map(({ id, format }) => [id, format]));
  return plain.map(({ id }) => ({ id, format: formats.get(id) ?? null }));
}

const isOut = ({ outcome }: Released): boolean => outcome === 'printed' || outcome === 'sent';

function sentenceOf({ outcome, printer, reason }: Released): string {
  return `${outcome} at ${printer}${reason === undefined ? '' : `: ${reason}`}`;
}

function showStep(terminal: Terminal, label: string, { sent, total, waiting }: Step): void {
  if (sent !== undefined && total !== undefined) terminal.progress(label, sent, total);
  if (typeof waiting === 'string') terminal.say(`waiting: ${waiting}`);
  else if (waiting === null) terminal.say('it goes on');
}

/** With a grant of its own. @throws InkmeshError when the node does not take it, or stops */
export async function releaseOne(
  order: Order,
  { id, format }: Job,
  see: (step: Step) => void = () => {},
): Promise<Released> {
  const { client, printer, options, confirm } = order;
  const grant = await signGrant(client.credential, {
    ...{ job: id, claimant: client.node.peer, target: printer, options: encode(options) },
    action: 'release',
    confirm,
  }, Date.now());
  const request = {
    ...{ printer, options, grant: Buffer.from(grant).toString('base64') },
    ...(typeof format === 'string' ? { format } : {}),
  };
  let result: Released | undefined;
  await client.follow(`/v1/jobs/${encodeURIComponent(id)}/release`, request, (line) => {
    const step = line as Step;
    if (step.error !== undefined) throw new InkmeshError('internal', step.error);
    see(step);
    result = step.result ?? result;
  });
  if (result === undefined) throw client.cutOff();
  return result;
}

/** What is said of a job whose release has no outcome: a node that is lost may have begun to print it. */
function unfinished({ printer }: Order, { id }: Job, error: InkmeshError): Released {
  const cut = isCutOff(error);
  return {
    ...{ id, outcome: cut ? 'interrupted' : 'refused', printer },
    ...{ claimed_ms: null, first_byte_ms: null, last_byte_ms: null, done_ms: 0 },
    reason: cut ? `${error.message}: inkmesh job show ${id} says what became of it` : error.message,
  };
}

/** One that fails stops no other. @returns what has become of each, in order */
export async function releaseMany(
  order: Order,
  jobs: readonly Job[],
  terminal: Pick<Terminal, 'say' | 'progress'>,
): Promise<Result> {
  const released: Released[] = [];
  const said = new Set<string>();
  const left = jobs.map((job, index) => ({ job, index }));
  const work = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const { job, index } = next;
      const see = ({ waiting }: Step) => {
        if (typeof waiting !== 'string' || said.has(waiting)) return;
        said.add(waiting);
        terminal.say(`waiting: ${waiting}`);
      };
      released[index] = await releaseOne(order, job, see).catch((thrown: unknown) =>
        unfinished(order, job, asInkmeshError(thrown))
      );
      terminal.progress(`releasing ${jobs.length} jobs`, jobs.length - left.length, jobs.length);
    }
  };
  await Promise.all(Array.from({ length: abreast }, work));
  const lines = released.map((one) => `${one.id}  ${sentenceOf(one)}`);
  return {
    json: released,
    text: lines.length === 0 ? 'no job is held' : lines.join('\n'),
    code: released.every(isOut) ? 0 : 1,
  };
}
