/**
 * `deno task bench [--json] [FILTER...]`: runs every *.bench.ts in this folder, or those whose name contains a
 * FILTER, one after the other, and prints the tables of each; `--json` prints one document with the same numbers.
 */
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

export interface Row {
  name: string;
  value: number;
  /** more columns of this row, in the unit that their name tells */
  more?: Record<string, number>;
  /** value divided by that of the row with this name */
  ratios: Record<string, number>;
}

/** What a *.bench.ts makes: its export `bench()` resolves to one or some. */
export interface Table {
  title: string;
  /** of every value */
  unit: string;
  rows: Row[];
  /** what a reader of the numbers must know */
  notes?: string[];
}

/** Three digits, or all before the point; whole numbers as they are. */
function digits(value: number): string {
  if (Number.isInteger(value)) return String(value);
  const before = Math.max(1, Math.floor(Math.log10(Math.abs(value))) + 1);
  return value.toFixed(Math.max(0, 3 - before));
}

function format({ title, unit, rows, notes = [] }: Table): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row.more ?? {})))];
  const references = [...new Set(rows.flatMap((row) => Object.keys(row.ratios)))];
  const shown = (value: number | undefined) => value === undefined ? '' : digits(value);
  const cells = [
    [title, unit, ...columns, ...references.map((name) => `/ ${name}`)],
    ...rows.map(({ name, value, more, ratios }) => [
      name,
      digits(value),
      ...columns.map((column) => shown(more?.[column])),
      ...references.map((reference) => ratios[reference]?.toFixed(2) ?? ''),
    ]),
  ];
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0))
  );
  return [
    ...cells.map((row) =>
      row.map((cell, at) => at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))
        .join('  ').trimEnd()
    ),
    ...notes.map((note) => `  ${note}`),
  ].join('\n');
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false } },
});
const files = readdirSync(dirname(fileURLToPath(import.meta.url)))
  .filter((file) => file.endsWith('.bench.ts'))
  .filter((file) => positionals.length === 0 || positionals.some((filter) => file.includes(filter)))
  .sort();
if (files.length === 0) {
  console.error(`no benchmark matches ${positionals.join(' ')}`);
  process.exit(2);
}
const tables: Table[] = [];
for (const file of files) {
  const { bench } = await import(new URL(file, import.meta.url).href) as {
    bench: () => Promise<Table | Table[]>;
  };
  for (const table of [await bench()].flat()) {
    tables.push(table);
    if (!values.json) console.log(`${format(table)}\n`);
  }
}
if (values.json) console.log(JSON.stringify(tables, null, 2));
process.exit(0);
