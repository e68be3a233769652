/** What the votes of a quorum amount to: the ticket that they agree on, and the key that their shares give. */
import { commits, keyBytes } from './envelope.ts';
import { InkmeshError } from './errors.ts';
import type { Holder } from './holder.ts';
import { quorumOf } from './job-facts.ts';
import type { VoteReply } from './protocol.ts';
import { combineShares } from './shares.ts';

export interface Ballot {
  holder: Holder;
  vote: VoteReply;
}

export interface Count {
  /** those that agree; at least a quorum */
  ballots: Ballot[];
  ticket: Uint8Array;
  /** absent for a cancellation */
  key?: Uint8Array;
  /** holders that gave something else than the others, or a share that is wrong */
  corrupt: Holder[];
}

/**
 * Counts the votes for a job. No single holder is believed: the ticket is the one that a quorum gave, the key the one
 * that an envelope's header commits to.
 * @param holders of the job, of which a quorum must agree; one alone gives the key itself
 * @param needsKey false for a cancellation, whose votes bring no share
 * @throws InkmeshError `corrupt` when these ballots do not make a quorum; another one may help
 */
export async function count(
  job: string,
  holders: readonly string[],
  cast: readonly Ballot[],
  needsKey: boolean,
): Promise<Count> {
  const usable = cast.filter(({ vote }) => vote.share.length > 0 === needsKey);
  const [ticket, ballots] = [...Map.groupBy(usable, ({ vote }) => Buffer.from(vote.ticket).toString('hex'))]
    .sort(([, a], [, b]) => b.length - a.length)[0] ?? ['', []];
  if (ballots.length < quorumOf(holders)) {
    throw new InkmeshError(
      'corrupt',
      'the machines that hold the job disagree about it: ask your administrator',
    );
  }
  const odd = cast.filter((ballot) => !ballots.includes(ballot)).map(({ holder }) => holder);
  const counted = { ballots, ticket: new Uint8Array(Buffer.from(ticket, 'hex')) };
  if (!needsKey) return { ...counted, corrupt: odd };
  const commitsTo = (key: Uint8Array) => ballots.some(({ vote }) => commits(key, job, vote.header));
  const [first] = ballots;
  if (holders.length === 1 && first !== undefined) {
    const key = first.vote.share;
    if (key.length === keyBytes && commitsTo(key)) return { ...counted, key, corrupt: odd };
    throw new InkmeshError('corrupt', 'the machine that holds the job gave a wrong key: submit it again');
  }
  const shares = ballots.map(({ holder, vote }) => ({ holder: holder.peer, share: vote.share }));
  const { key, corrupt } = await combineShares(shares, commitsTo);
  for (const { share } of shares) share.fill(0);
  const wrong = ballots.filter(({ holder }) => corrupt.includes(holder.peer)).map(({ holder }) => holder);
  return { ...counted, key, corrupt: [...odd, ...wrong] };
}
