/** A lease's refusals as the errors that travel to the claimant. */
import { InkmeshError } from './errors.ts';
import type { LeaseAnswer } from './lease.ts';

/** A refusal as the claimant gets it: `claim`, `claimant` and `begun` tell who has the job. */
export function refusalError(answer: LeaseAnswer): InkmeshError {
  if (answer.type !== 'refused') {
    return new InkmeshError('internal', `unexpected lease answer ${answer.type}`);
  }
  switch (answer.reason) {
    case 'held-by': {
      const { claim, claimant, begun } = answer;
      const details = { claim, claimant, begun: String(begun) };
      return new InkmeshError('busy', 'another node has claimed this job', details);
    }
    case 'nonce-bound':
      return new InkmeshError(
        'forbidden',
        'this grant has been used at another node or printer: release anew',
      );
    case 'nonce-spent':
      return new InkmeshError('forbidden', 'this grant has been used: release anew');
    case 'too-many-claims':
      return new InkmeshError('busy', 'this node has tried too often: release from another node');
    case 'erased':
      return new InkmeshError('not-found', 'this job is not held here any more');
    case 'refused-claim':
    case 'not-current':
      return new InkmeshError('conflict', 'this claim has ended: release anew', { reason: answer.reason });
  }
}
