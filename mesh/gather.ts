/** Asking several holders at once, and going on when enough have answered. */
import { asInkmeshError, type InkmeshError } from './errors.ts';
import type { Clock } from './ports.ts';

export interface Gathered<Asked, Got> {
  got: Got[];
  failed: { of: Asked; error: InkmeshError }[];
}

export interface Gathering<Asked, Got> {
  /** Settles when all have answered or failed. Never rejects. */
  all: Promise<Gathered<Asked, Got>>;
  /**
   * Settles when all have answered, or `grace_ms` after `enough` have. What comes later does not change what it
   * gave. Never rejects.
   */
  until(enough: number, grace_ms: number): Promise<Gathered<Asked, Got>>;
}

export function gather<Asked, Got>(
  clock: Clock,
  asked: readonly Asked[],
  ask: (of: Asked) => Promise<Got>,
): Gathering<Asked, Got> {
  const so: Gathered<Asked, Got> = { got: [], failed: [] };
  const watchers: (() => void)[] = [];
  const each = asked.map((of) =>
    ask(of).then((got) => so.got.push(got), (thrown) => so.failed.push({ of, error: asInkmeshError(thrown) }))
      .then(() => watchers.forEach((watch) => watch()))
  );
  const all = Promise.all(each).then(() => so);
  const now = () => ({ got: [...so.got], failed: [...so.failed] });
  return {
    all: all.then(now),
    until: (enough, grace_ms) =>
      new Promise((resolve) => {
        let callOff: (() => void) | undefined;
        void all.then(() => {
          callOff?.();
          resolve(now());
        });
        const watch = () => {
          if (so.got.length >= enough) callOff ??= clock.after(grace_ms, () => resolve(now()));
        };
        watchers.push(watch);
        watch();
      }),
  };
}
