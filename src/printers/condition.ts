/** What a printer says of itself, by whichever protocol it was asked. */

/** One `printer-state-reasons` keyword without its severity (RFC 8011 section 5.4.12, PWG 5100.9): `media-empty`. */
export interface Reason {
  keyword: string;
  /** `error`: nothing comes out until somebody has been there */
  severity: 'report' | 'warning' | 'error';
  /** the printer's own words, in its own language, where it has some */
  text?: string;
}

/** What a printer uses up, or fills. */
export interface Supply {
  name: string;
  /** it is full at 100 % and not at 0 */
  isWaste: boolean;
  /** 0 to 100; null where the printer does not know */
  percent: number | null;
}

export interface Condition {
  /** `printer-state` (RFC 8011 section 5.4.11); `unknown` where the printer does not say */
  activity: 'idle' | 'processing' | 'stopped' | 'unknown';
  reasons: readonly Reason[];
  /** pages since it was made (prtMarkerLifeCount, RFC 3805), where it tells */
  pages?: number;
  supplies?: readonly Supply[];
}

/** Asks a printer how it is. */
export interface AskCondition {
  /** @throws InkmeshError `unavailable` when it does not answer */
  (signal: AbortSignal): Promise<Condition>;
  /** whether it has said so before, so that its word is worth waiting for */
  readonly heard?: boolean;
}

const severities = ['report', 'warning', 'error'] as const;

/** Whether nothing comes out until somebody has been there. */
export const hasStopped = ({ activity, reasons }: Condition): boolean =>
  activity === 'stopped' || reasons.some(({ severity }) => severity === 'error');

/** Each keyword once, with its worst severity; the worst first. */
export function mergedReasons(reasons: readonly Reason[]): Reason[] {
  const merged = new Map<string, Reason>();
  const rank = ({ severity }: Reason) => severities.indexOf(severity);
  for (const reason of reasons) {
    const known = merged.get(reason.keyword);
    if (known === undefined) merged.set(reason.keyword, reason);
    else {
      const text = known.text ?? reason.text;
      const worse = rank(reason) > rank(known) ? reason : known;
      merged.set(reason.keyword, { ...worse, ...(text === undefined ? {} : { text }) });
    }
  }
  return [...merged.values()].sort((a, b) => rank(b) - rank(a));
}

const activities = ['stopped', 'processing', 'idle', 'unknown'] as const;

/** What is true of a printer that was asked in two ways: the worse of what they say. */
export function mergedCondition(one: Condition, other: Condition): Condition {
  const activity = activities.find((known) => one.activity === known || other.activity === known) ??
    'unknown';
  return { ...one, ...other, activity, reasons: mergedReasons([...one.reasons, ...other.reasons]) };
}
