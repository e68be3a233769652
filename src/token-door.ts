/** What print dialogs and programs get of a node: the doors, for who shows a submit token. */
import { InkmeshError } from '../mesh/errors.ts';
import { cancelProof, maxDocumentBytes, tokenHash } from '../mesh/mod.ts';
import { remember } from '../mesh/remember.ts';
import type { Audit } from './audit.ts';
import type { NodeSecrets } from './datadir.ts';
import type { Ticket } from './job.ts';
import { namedUuid } from './named-uuid.ts';
import type { Jobs } from './release/jobs.ts';
import type { ReleaseDoor } from './release/release.ts';
import { instanceOf } from './submit/advertise.ts';
import type { IppDoor } from './submit/ipp.ts';
import type { Sources } from './submit/source.ts';
import type { SubmitDoor } from './submit/submit.ts';

/** jobs submitted by tokens in this run, remembered so that print dialogs can see how they ended */
const maxRemembered = 1000;

export interface DoorParts {
  sources: Sources;
  jobs: Jobs;
  submit: SubmitDoor;
  release: ReleaseDoor;
  secrets: Pick<NodeSecrets, 'trust' | 'identity'>;
  audit: Audit;
}

export function tokenDoor({ sources, jobs, submit, release, secrets, audit }: DoorParts): IppDoor {
  const remembered = new Map<string, { token: string; ticket: Ticket }>();
  const submittedWith = (token: string) => {
    const key = tokenHash(token).toHex();
    return new Map([...remembered].filter(([, r]) => r.token === key).map(([id, r]) => [id, r.ticket]));
  };
  const ownerOf = (token: string): string => {
    const user = sources.userOf(token);
    if (user !== undefined) return user;
    throw new InkmeshError('unauthenticated', 'this printer address is not valid any more');
  };
  return {
    owner: (shown) => sources.owner(shown),
    newJobId: (taken) => submit.newJobId(taken),
    ready: () => submit.ready(),
    submit: async ({ token, address }, job, ticket, document, signal) => {
      await submit.submit({ user: ownerOf(token), token, address }, job, ticket, document, signal);
      remember(remembered, job, { token: tokenHash(token).toHex(), ticket }, maxRemembered);
    },
    jobs: (token) =>
      token === '' ? Promise.resolve([]) : jobs.local(ownerOf(token), submittedWith(token), tokenHash(token)),
    cancel: async ({ token, address }, job) => {
      await release.cancel(job, { proof: cancelProof(token, job) });
      const who = sources.userOf(token) ?? null;
      audit.record({ what: 'cancelled', who, from: address, detail: `job ${job} by a submit token` });
    },
    queue: {
      name: instanceOf(secrets.identity.site),
      uuid: queueUuid(secrets),
      organisation: secrets.trust.organisation,
    },
    maxDocumentBytes,
  };
}

/** One UUID for the queue of a site, whichever of its nodes serves it. */
function queueUuid({ trust, identity }: DoorParts['secrets']): string {
  return namedUuid(`inkmesh queue ${trust.fingerprint} ${identity.site}`);
}
