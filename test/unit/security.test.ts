/** docs/SECURITY.md names tests: they are there, under these names. Whether they show what it says is for people. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const page = readFileSync(new URL('../../docs/SECURITY.md', import.meta.url), 'utf8');

const [text = '', list = ''] = page.split('\n## Tests\n');

/** The list at the end of the page: `file` "name of a test". */
const tests = [...list.matchAll(/^\d+\. `([\w/.-]+)`\s+"(.*?)"$/gms)]
  .map(([, file = '', name = '']) => ({ file, name: name.replace(/\s+/g, ' ') }));

/** The names in a test file, where `…` of the page may stand for what a loop puts in. */
function hasTest(source: string, name: string): boolean {
  const literal = name.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^\\n]*');
  return new RegExp(`\\(\\s*['"\`]${literal}['"\`]`).test(source.replaceAll("\\'", "'"));
}

test('every test that the page names is there', () => {
  for (const { file, name } of tests) {
    const source = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
    assert.ok(hasTest(source, name), `${file} has no test "${name}"`);
  }
});

test('every number on the page is one of the list, and every one of the list is used', () => {
  const used = [...text.matchAll(/\[(\d+)\]/g)].map(([, number]) => Number(number));
  const numbers = [...list.matchAll(/^(\d+)\. /gm)].map(([, number]) => Number(number));
  assert.equal(numbers, tests.map((_, i) => i + 1));
  assert.equal([...new Set(used)].sort((a, b) => a - b), numbers);
});

test.run();
