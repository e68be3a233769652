/**
 * The one domain error of inkmesh. Misuse of an API throws the built-in errors (TypeError, RangeError);
 * everything that can happen to a correct program throws this, with a code out of a closed set that travels
 * over the wire, and is mapped to IPP status codes and HTTP statuses at the fronts.
 */

export const codes = [
  /** malformed, out of bounds, or of the wrong shape */
  'bad-request',
  /** who asks could not be established */
  'unauthenticated',
  /** who asks is known, and may not */
  'forbidden',
  'not-found',
  /** somebody else has it now; trying later may work */
  'busy',
  /** it contradicts what is already decided; the same request never works */
  'conflict',
  'too-large',
  /** a part that is needed is not there now (a holder asleep, a printer off) */
  'unavailable',
  'timeout',
  /** stored or received bytes do not authenticate */
  'corrupt',
  'internal',
] as const;

export type Code = typeof codes[number];

/** What a refusal says besides its sentence, for programs: short strings only. */
export type Details = Readonly<Record<string, string>>;

export class InkmeshError extends Error {
  override readonly name = 'InkmeshError';
  readonly code: Code;
  readonly about: Details;

  /** @param message one sentence that says what to do next; shown to people as it is */
  constructor(code: Code, message: string, details: Details = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.about = details;
  }
}

/** Any thrown value as a domain error; what is not ours becomes `internal`. */
export function asInkmeshError(thrown: unknown): InkmeshError {
  if (thrown instanceof InkmeshError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new InkmeshError('internal', message, {}, { cause: thrown });
}
