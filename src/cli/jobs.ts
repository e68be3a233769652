/** Commands of users: list, show and cancel jobs. */
import { signGrant } from '../../mesh/mod.ts';
import type { JobView } from '../job.ts';
import { userClient } from './client.ts';
import { type Command, option, size, table } from './command.ts';
import { common } from './job-options.ts';

export const jobs: Command = {
  name: 'jobs',
  usage: '--dir DIR',
  about: 'your jobs',
  options: common,
  positionals: 0,
  run: async (args) => {
    const client = await userClient(args);
    const list = await client.get<JobView[]>('/v1/jobs', { headers: await client.viewHeader() });
    const rows = list.map((job) => [job.id, stateOf(job), size(job.bytes), titleOf(job), job.submitted]);
    return {
      json: list,
      text: list.length === 0 ? 'no jobs' : table([['JOB', 'STATE', 'SIZE', 'TITLE', 'SUBMITTED'], ...rows]),
    };
  },
};

const stateOf = ({ state, degraded }: JobView): string =>
  degraded === undefined ? state : `${state} (${degraded})`;

/** A title is gone with the job; while the job is held, only its holders know it. */
function titleOf(job: JobView): string {
  const ended = ['printed', 'sent', 'cancelled', 'expired'].includes(job.state);
  return job.title ?? (ended ? '-' : `(waiting for ${job.holders.join(' or ')})`);
}

interface Shown extends JobView {
  trace: { at: string; what: string }[];
}

export const jobShow: Command = {
  name: 'job show',
  usage: 'ID --dir DIR',
  about: 'one job, and what has become of it step by step',
  options: common,
  positionals: 1,
  run: async (args) => {
    const client = await userClient(args);
    const job = await client.get<Shown>(
      `/v1/jobs/${encodeURIComponent(args.at(0))}`,
      { headers: await client.viewHeader() },
    );
    const head = `${job.id}  ${stateOf(job)}  ${titleOf(job)}  ${size(job.bytes)}`;
    const open = job.claims.map((claim) => `unsettled claim: ${claim}`);
    return {
      json: job,
      text: [head, ...job.trace.map(({ at, what }) => `  ${at}  ${what}`), ...open].join('\n'),
    };
  },
};

export const cancel: Command = {
  name: 'cancel',
  usage: 'ID --dir DIR [--confirm-reprint CLAIM]...',
  about: 'erase a job unprinted',
  options: { ...common, 'confirm-reprint': option.list },
  positionals: 1,
  run: async (args) => {
    const client = await userClient(args);
    const job = args.at(0);
    const confirm = args.list('confirm-reprint');
    const grant = await signGrant(
      client.credential,
      {
        ...{ job, claimant: client.node.peer, action: 'cancel', target: '' },
        options: new Uint8Array(0),
        confirm,
      },
      Date.now(),
    );
    const path = `/v1/jobs/${encodeURIComponent(job)}/cancel`;
    const done = await client.post(path, { grant: Buffer.from(grant).toString('base64') });
    return { json: done, text: `${job} is cancelled` };
  },
};
