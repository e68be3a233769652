/** Pages that name tests: they are there, under these names. Whether they show what a page says is for people. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

interface Page {
  text: string;
  /** the list at the end of the page */
  list: string;
  /** `file` "name of a test" */
  tests: { file: string; name: string }[];
}

function read(name: string): Page {
  const page = readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
  const [text = '', list = ''] = page.split('\n## Tests\n');
  const tests = [...list.matchAll(/^\d+\. `([\w/.-]+)`\s+"(.*?)"$/gms)]
    .map(([, file = '', name = '']) => ({ file, name: name.replace(/\s+/g, ' ') }));
  return { text, list, tests };
}

/** The names in a test file, where `…` of the page may stand for what a loop puts in. */
function hasTest(source: string, name: string): boolean {
  const literal = name.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^\\n]*');
  return new RegExp(`\\(\\s*['"\`]${literal}['"\`]`).test(source.replaceAll("\\'", "'"));
}

for (const name of ['SECURITY.md', 'RELEASE.md']) {
  const { text, list, tests } = read(name);

  test(`${name}: every test that the page names is there`, () => {
    for (const { file, name } of tests) {
      const source = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
      assert.ok(hasTest(source, name), `${file} has no test "${name}"`);
    }
  });

  test(`${name}: every number on the page is one of the list, and every one of the list is used`, () => {
    const used = [...text.matchAll(/\[(\d+)\]/g)].map(([, number]) => Number(number));
    const numbers = [...list.matchAll(/^(\d+)\. /gm)].map(([, number]) => Number(number));
    assert.equal(numbers, tests.map((_, i) => i + 1));
    assert.equal([...new Set(used)].sort((a, b) => a - b), numbers);
  });
}

test.run();
