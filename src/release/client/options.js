// @ts-check
/** The options of a release out of a form's fields: the same in the browser and, for panels, at the node. */

/**
 * Under their PWG 5100 names.
 * @typedef {{
 *   copies?: number,
 *   sides?: 'one-sided' | 'two-sided-long-edge' | 'two-sided-short-edge',
 *   'print-color-mode'?: 'color' | 'monochrome',
 *   media?: string,
 *   'page-ranges'?: [number, number][],
 *   finishings?: 3 | 4,
 * }} Options
 */

const maxCopies = 999;
const maxRanges = 64;

/**
 * What is empty or not there stays as the document was sent.
 * @param {Readonly<Record<string, string>>} fields
 * @returns {{ options: Options } | { wrong: 'copies' | 'page-ranges' }}
 */
export function optionsOf(fields) {
  /** @type {Record<string, unknown>} */
  const options = {};
  for (const name of ['sides', 'print-color-mode', 'media']) {
    const value = (fields[name] ?? '').trim();
    if (value !== '') options[name] = value;
  }
  const finishings = fields['finishings'] ?? '';
  if (finishings === '3' || finishings === '4') options['finishings'] = Number(finishings);
  const copies = (fields['copies'] ?? '').trim();
  if (copies !== '') {
    const count = /^\d{1,3}$/.test(copies) ? Number(copies) : 0;
    if (count < 1 || count > maxCopies) return { wrong: 'copies' };
    options['copies'] = count;
  }
  const ranges = (fields['page-ranges'] ?? '').trim();
  if (ranges !== '') {
    const parsed = rangesOf(ranges);
    if (parsed === undefined) return { wrong: 'page-ranges' };
    options['page-ranges'] = parsed;
  }
  return { options: /** @type {Options} */ (options) };
}

/**
 * `1-3, 5` is [[1, 3], [5, 5]]. They ascend, as RFC 8011 section 5.2.7 wants them.
 * @param {string} text
 * @returns {[number, number][] | undefined} undefined when it is not a list of ranges
 */
export function rangesOf(text) {
  /** @type {[number, number][]} */
  const ranges = [];
  let last = 0;
  for (const part of text.split(/[,;]/)) {
    const [, from, to] = /^\s*(\d{1,9})(?:\s*[-\u2013]\s*(\d{1,9}))?\s*$/.exec(part) ?? [];
    if (from === undefined) return undefined;
    const [first, end] = [Number(from), Number(to ?? from)];
    if (first <= last || end < first) return undefined;
    ranges.push([first, end]);
    last = end;
  }
  return ranges.length > maxRanges ? undefined : ranges;
}
