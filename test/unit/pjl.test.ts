import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatObstacle, pjlFormat } from '../../src/deliver/formats.ts';
import { wrapping } from '../../src/deliver/pjl.ts';
import type { JobOptions } from '../../src/job.ts';

const options: JobOptions = {
  copies: 3,
  sides: 'two-sided-short-edge',
  'print-color-mode': 'monochrome',
  media: 'iso_a4_210x297mm',
  'page-ranges': [[1, 2]],
};
const ticket = { title: 'Figures', format: 'application/pdf', options };
const text = (octets: Uint8Array) => new TextDecoder().decode(octets);

test('a printer that speaks PJL is told the options, and what it cannot be told is named', () => {
  const { head, tail, without } = wrapping(['application/pdf', pjlFormat], ticket, 'ada');
  assert.equal(text(head).split('\r\n'), [
    '\u001b%-12345X@PJL JOB NAME = "Figures"',
    '@PJL SET USERNAME = "ada"',
    '@PJL SET JOBNAME = "Figures"',
    '@PJL SET QTY = 3',
    '@PJL SET DUPLEX = ON',
    '@PJL SET BINDING = SHORTEDGE',
    '@PJL SET RENDERMODE = GRAYSCALE',
    '@PJL SET PAPER = A4',
    '@PJL ENTER LANGUAGE = PDF',
    '',
  ]);
  assert.is(text(tail), '\u001b%-12345X@PJL EOJ NAME = "Figures"\r\n\u001b%-12345X');
  assert.equal(without, ['page-ranges']);
});

test('a staple is asked for by PJL, and what is in no list is nothing', () => {
  const head = (options: JobOptions) => text(wrapping([pjlFormat], { ...ticket, options }, 'ada').head);
  assert.match(head({ finishings: 4 }), '@PJL SET FINISH = STAPLE\r\n@PJL SET STAPLEOPTION = ONE\r\n');
  assert.not.match(head({ finishings: 3 }), 'STAPLE');
  assert.not.match(head({ media: 'constructor' }), 'PAPER');
  assert.equal(wrapping([pjlFormat], { ...ticket, options: { media: 'constructor' } }, 'ada').without, [
    'media',
  ]);
});

test('any other printer gets the document and nothing else', () => {
  const { head, tail, without } = wrapping(['application/pdf'], ticket, 'ada');
  assert.is(head.length + tail.length, 0);
  assert.equal(without, Object.keys(options));
  const usual: JobOptions = { copies: 1, sides: 'one-sided', 'print-color-mode': 'auto' };
  assert.equal(wrapping([], { ...ticket, options: usual }, 'ada').without, []);
});

test('a title cannot become a command', () => {
  const title = 'x"\r\n@PJL SET COPIES = 999\u001b%-12345X' + 'y'.repeat(200);
  const { head, tail } = wrapping([pjlFormat], { title, format: 'text/plain', options: {} }, 'a"\nb');
  const lines = (text(head) + text(tail)).split('\r\n');
  assert.equal(lines.map((line) => line.replace(/ = .*/, '')), [
    '\u001b%-12345X@PJL JOB NAME',
    '@PJL SET USERNAME',
    '@PJL SET JOBNAME',
    '\u001b%-12345X@PJL EOJ NAME',
    '\u001b%-12345X',
  ]);
  for (const line of lines) assert.ok((line.match(/"/g) ?? []).length % 2 === 0 && line.length < 120, line);
});

test('a printer whose formats are not known takes all, and PJL is none of documents', () => {
  assert.is(formatObstacle([], ticket), undefined);
  assert.is(formatObstacle([pjlFormat], ticket), undefined);
  assert.is(formatObstacle(['Application/PDF'], ticket), undefined);
  assert.match(formatObstacle([pjlFormat, 'image/urf'], ticket) ?? '', 'application/pdf, only image/urf');
});

test.run();
