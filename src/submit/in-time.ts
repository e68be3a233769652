/** How long a client may take for what comes before its document. */
import { InkmeshError } from '../../mesh/errors.ts';
import { submitLimits } from '../limits.ts';

/** @throws InkmeshError `timeout` */
export async function inTime<T>(reading: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = () => reject(new InkmeshError('timeout', 'the request came too slowly'));
    timer = setTimeout(error, submitLimits.readHeader_ms);
  });
  try {
    return await Promise.race([reading, late]);
  } finally {
    clearTimeout(timer);
  }
}
