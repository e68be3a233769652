import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { template } from '../../src/deliver/ipp-capabilities.ts';
import { printerOptions } from '../../src/deliver/printer-options.ts';
import * as ipp from '../../src/ipp/message.ts';
import type { JobOptions } from '../../src/job.ts';

const options: JobOptions = {
  copies: 2,
  sides: 'two-sided-long-edge',
  'page-ranges': [[1, 2], [5, 5]],
  'number-up': 4,
  'job-sheets': 'standard',
  'print-quality': 5,
};
const ticket = { title: 'x', format: 'application/pdf', options };
const range = (lower: number, upper: number) => ({ syntax: 'rangeOfInteger', lower, upper }) as const;

test('what a printer says it can do is asked of it', () => {
  const printer = [
    ipp.range('copies-supported', 1, 99),
    ipp.keyword('sides-supported', 'one-sided', 'two-sided-long-edge'),
    ipp.boolean('page-ranges-supported', true),
    ipp.attribute('number-up-supported', { syntax: 'integer', value: 1 }, range(2, 16)),
    ipp.keyword('job-sheets-supported', 'none', 'standard'),
    ipp.enumeration('print-quality-supported', 3, 4, 5),
  ];
  const { attributes, without } = template(printer, ticket);
  assert.equal(without, []);
  assert.equal(attributes, [
    ipp.integer('copies', 2),
    ipp.keyword('sides', 'two-sided-long-edge'),
    ipp.keyword('job-sheets', 'standard'),
    ipp.attribute('page-ranges', range(1, 2), range(5, 5)),
    ipp.integer('number-up', 4),
    ipp.enumeration('print-quality', 5),
  ]);
});

test('what a printer cannot do is named, and not asked of it', () => {
  const printer = [
    ipp.boolean('page-ranges-supported', false),
    ipp.integer('number-up-supported', 1, 2),
    ipp.enumeration('print-quality-supported', 4),
  ];
  const { attributes, without } = template(printer, ticket);
  assert.equal(attributes, []);
  assert.equal(without, ['copies', 'sides', 'job-sheets', 'page-ranges', 'number-up', 'print-quality']);
});

test('a staple is asked of a printer that has one, in the place that it has', () => {
  const asking = (finishings: 3 | 4, ...supported: number[]) => {
    const printer = supported.length === 0 ? [] : [ipp.enumeration('finishings-supported', ...supported)];
    return template(printer, { ...ticket, options: { finishings } });
  };
  assert.equal(asking(4, 3, 4, 20).attributes, [ipp.enumeration('finishings', 4)]);
  assert.equal(asking(4, 3, 5, 20).attributes, [ipp.enumeration('finishings', 20)]);
  assert.equal(asking(4, 3, 5), { attributes: [], without: ['finishings'] });
  assert.equal(asking(4), { attributes: [], without: ['finishings'] });
  assert.equal(asking(3, 3, 4).attributes, [ipp.enumeration('finishings', 3)]);
  assert.equal(asking(3), { attributes: [], without: [] });
});

test('what a printer takes is kept in short, and what it does not say is left open', () => {
  const printer = [
    ipp.range('copies-supported', 1, 9999),
    ipp.keyword('sides-supported', 'one-sided', 'two-sided-long-edge', 'constructor'),
    ipp.keyword('print-color-mode-supported', 'monochrome', 'process-monochrome'),
    ipp.keyword('media-supported', 'iso_a4_210x297mm'),
    ipp.boolean('page-ranges-supported', false),
    ipp.enumeration('finishings-supported', 3, 20),
  ];
  assert.equal(printerOptions(printer), {
    copies: 999,
    sides: ['one-sided', 'two-sided-long-edge'],
    'print-color-mode': ['monochrome'],
    media: ['iso_a4_210x297mm'],
    'page-ranges': false,
    finishings: [3, 4],
  });
  assert.equal(printerOptions([ipp.enumeration('finishings-supported', 3)]), { finishings: [3] });
  assert.equal(printerOptions([]), {});
});

test.run();
