/** On how many machines a job can be kept, and what that is called where it is fewer than three. */
import { InkmeshError } from './errors.ts';
import type { JobBody } from './job-facts.ts';
import { holdersPerJob } from './limits.ts';
import type { SitePolicy } from './policy.ts';

export interface Reach {
  site: string;
  /** machines that can keep it now, this one among them */
  awake: number;
  /** further machines of the site, which cannot be reached */
  asleep: number;
  policy: Pick<SitePolicy, 'degraded'>;
}

/** @throws InkmeshError `unavailable` when a job may not be kept by so few */
export function degradedBy({ site, awake, asleep, policy }: Reach): JobBody['degraded'] {
  if (awake >= holdersPerJob) return null;
  if (awake === 2 && asleep > 0) return 'handoff';
  if (awake === 1 && asleep > 0) {
    throw new InkmeshError(
      'unavailable',
      'a job is kept on three machines, at least two of them awake, and only this one can be reached: ' +
        'wake another workstation',
    );
  }
  if (policy.degraded === 'accept') return awake === 2 ? 'two' : 'one';
  const few = awake === 2
    ? 'a job is kept on three machines and there are only two, of which the loss of either loses it'
    : 'a job is kept on three machines and there is only this one, to which it is no secret';
  throw new InkmeshError(
    'unavailable',
    `${few}: add a workstation, or allow it with "inkmesh site set ${site} degraded accept"`,
  );
}
