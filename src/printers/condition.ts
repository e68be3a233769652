/** What a printer says of itself, by whichever protocol it was asked. */

/** One `printer-state-reasons` keyword without its severity (RFC 8011 section 5.4.12, PWG 5100.9): `media-empty`. */
export interface Reason {
  keyword: string;
  /** `error`: nothing comes out until somebody has been there */
  severity: 'report' | 'warning' | 'error';
}

export interface Condition {
  /** `printer-state` (RFC 8011 section 5.4.11); `unknown` where the printer does not say */
  activity: 'idle' | 'processing' | 'stopped' | 'unknown';
  reasons: readonly Reason[];
  /** pages since it was made (prtMarkerLifeCount, RFC 3805), where it tells */
  pages?: number;
}

/**
 * Asks a printer how it is.
 * @throws InkmeshError `unavailable` when it does not answer
 */
export type AskCondition = (signal: AbortSignal) => Promise<Condition>;
