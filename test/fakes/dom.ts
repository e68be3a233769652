/** As much of the DOM as morph.js touches: enough to see which of a page's elements stay when it changes. */

class FakeNode {
  readonly nodeName: string;
  nodeValue: string | null = null;
  parent: FakeNode | null = null;
  childNodes: FakeNode[] = [];

  constructor(nodeName: string) {
    this.nodeName = nodeName;
  }

  get firstChild(): FakeNode | null {
    return this.childNodes[0] ?? null;
  }

  get nextSibling(): FakeNode | null {
    const all = this.parent?.childNodes ?? [];
    return all[all.indexOf(this) + 1] ?? null;
  }

  remove(): void {
    const all = this.parent?.childNodes ?? [];
    if (this.parent !== null) all.splice(all.indexOf(this), 1);
    this.parent = null;
  }

  insertBefore(node: FakeNode, before: FakeNode | null): void {
    node.remove();
    node.parent = this;
    this.childNodes.splice(
      before === null ? this.childNodes.length : this.childNodes.indexOf(before),
      0,
      node,
    );
  }
}

export class FakeElement extends FakeNode {
  readonly #attributes = new Map<string, string>();

  get id(): string {
    return this.getAttribute('id') ?? '';
  }

  get dataset(): Readonly<Record<string, string | undefined>> {
    return Object.fromEntries(
      [...this.#attributes].filter(([name]) => name.startsWith('data-')).map((
        [name, value],
      ) => [name.slice('data-'.length), value]),
    );
  }

  get attributes(): { name: string; value: string }[] {
    return [...this.#attributes].map(([name, value]) => ({ name, value }));
  }

  hasAttribute(name: string): boolean {
    return this.#attributes.has(name);
  }

  getAttribute(name: string): string | null {
    return this.#attributes.get(name) ?? null;
  }

  setAttribute(name: string, value: string): void {
    this.#attributes.set(name, value);
  }

  removeAttribute(name: string): void {
    this.#attributes.delete(name);
  }

  /** The first element below that has this attribute, with this value. @throws Error where there is none */
  one(name: string, value: string): FakeElement {
    const found = this.#below().find((element) => element.getAttribute(name) === value);
    if (found === undefined) throw new Error(`nothing has ${name}="${value}"`);
    return found;
  }

  #below(): FakeElement[] {
    return this.childNodes.flatMap((node) => node instanceof FakeElement ? [node, ...node.#below()] : []);
  }
}

const empty = new Set(['INPUT', 'BR']);

/** Reads what our pages are written in. @returns an element whose children those of the text are */
export function parsed(html: string): FakeElement {
  const root = new FakeElement('MAIN');
  let at: FakeElement = root;
  for (const [, end, name, attributes = '', text] of html.matchAll(/<(\/?)([\w-]+)([^>]*)>|([^<]+)/g)) {
    if (name === undefined) {
      const node = new FakeNode('#text');
      node.nodeValue = text ?? '';
      at.insertBefore(node, null);
    } else if (end === '/') at = at.parent as FakeElement;
    else {
      const element = new FakeElement(name.toUpperCase());
      for (const [, key = '', value = ''] of attributes.matchAll(/([\w-]+)(?:="([^"]*)")?/g)) {
        element.setAttribute(key, value);
      }
      at.insertBefore(element, null);
      if (!empty.has(element.nodeName)) at = element;
    }
  }
  return root;
}
