/** Which documents a printer takes as they are. The one place where a conversion would come in. */
import type { Ticket } from '../job.ts';

/** what a printer lists that speaks PJL, the language of job headers: not one of documents */
export const pjlFormat = 'application/vnd.hp-pjl';

/**
 * Why a printer cannot print a document, or undefined when it can, or does not say.
 * @param formats MIME media types that the printer takes, none when it does not say
 */
export function formatObstacle(
  formats: readonly string[],
  { format }: Pick<Ticket, 'format'>,
): string | undefined {
  const known = formats.map((known) => known.toLowerCase()).filter((known) => known !== pjlFormat);
  if (known.length === 0 || known.includes(format.toLowerCase())) return undefined;
  return `the printer does not take ${format}, only ${known.join(', ')}`;
}
