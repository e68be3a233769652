// @ts-check
/// <reference lib="dom" />
/** Changes a part of the page into another one in place: what is focused, typed, ticked or open stays as it is. */

/** attributes that people and the script set, and the node knows nothing of */
const own = new Set(['open', 'data-sure']);

/**
 * Gives an element the children of another one, which is used up.
 * @param {Element} into
 * @param {Element | DocumentFragment} from
 */
export function morph(into, from) {
  let at = into.firstChild;
  for (const next of [...from.childNodes]) {
    const same = counterpart(at, next);
    if (same === undefined) {
      into.insertBefore(next, at);
      continue;
    }
    while (at !== null && at !== same) at = removed(at);
    become(same, next);
    at = same.nextSibling;
  }
  while (at !== null) at = removed(at);
}

/** @param {ChildNode} node @returns {ChildNode | null} the one behind it */
function removed(node) {
  const { nextSibling } = node;
  node.remove();
  return nextSibling;
}

/**
 * What can be chosen is what it stands for: a tick for one value is none for another.
 * @param {Node} node
 */
function keyOf(node) {
  if (!(node instanceof HTMLElement)) return '';
  const key = node.id || node.dataset['job'] || node.dataset['key'];
  if (key) return key;
  const choice = node.nodeName === 'OPTION' || node.getAttribute('type') === 'checkbox';
  return choice ? `${node.getAttribute('name') ?? ''}=${node.getAttribute('value') ?? ''}` : '';
}

/**
 * What has a key is found wherever it is; what has none is what stands in the same place.
 * @param {ChildNode | null} first
 * @param {ChildNode} next
 * @returns {ChildNode | undefined}
 */
function counterpart(first, next) {
  const key = keyOf(next);
  for (let node = first; node !== null; node = node.nextSibling) {
    if (node.nodeName === next.nodeName && keyOf(node) === key) return node;
    if (key === '') return undefined;
  }
  return undefined;
}

/** @param {ChildNode} old @param {ChildNode} next */
function become(old, next) {
  if (!(old instanceof Element) || !(next instanceof Element)) {
    if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!own.has(name) && !next.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  morph(old, next);
}
