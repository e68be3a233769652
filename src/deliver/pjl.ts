/** Job headers in PJL, for RAW printers that speak it (HP's Printer Job Language Technical Reference Manual). */
import { type JobOptions, notFinished, stapled, type Ticket } from '../job.ts';
import { pjlFormat } from './formats.ts';

export interface Wrapping {
  /** goes before the document, and behind it */
  head: Uint8Array;
  tail: Uint8Array;
  /** what the ticket asks for and the printer is not told, by name */
  without: string[];
}

/** universal exit language: ends whatever language the printer was in */
const uel = '\u001b%-12345X';
/** of a text within quotes, in characters */
const maxTextChars = 80;

/** PERSONALITY of a format (chapter 6, ENTER); the printer finds out by itself for others. */
const languages = new Map([
  ['application/pdf', 'PDF'],
  ['application/postscript', 'POSTSCRIPT'],
  ['application/vnd.hp-pcl', 'PCL'],
  ['application/vnd.hp-pclxl', 'PCLXL'],
]);
/** PAPER of a `media` */
const papers = new Map([
  ['iso_a3_297x420mm', 'A3'],
  ['iso_a4_210x297mm', 'A4'],
  ['iso_a5_148x210mm', 'A5'],
  ['na_executive_7.25x10.5in', 'EXECUTIVE'],
  ['na_ledger_11x17in', 'LEDGER'],
  ['na_legal_8.5x14in', 'LEGAL'],
  ['na_letter_8.5x11in', 'LETTER'],
]);

/** How a document goes to a RAW printer: as it is where it is not said to speak PJL. */
export function wrapping(
  formats: readonly string[],
  { title, format, options }: Ticket,
  user: string,
): Wrapping {
  if (!formats.includes(pjlFormat)) return { head: empty, tail: empty, without: asked(options) };
  const { lines, told } = settings(options);
  const language = languages.get(format.toLowerCase());
  const name = quoted(title);
  const head = [
    `${uel}@PJL JOB NAME = ${name}`,
    `@PJL SET USERNAME = ${quoted(user)}`,
    `@PJL SET JOBNAME = ${name}`,
    ...lines,
    ...(language === undefined ? [] : [`@PJL ENTER LANGUAGE = ${language}`]),
  ];
  const tail = `${uel}@PJL EOJ NAME = ${name}\r\n${uel}`;
  return {
    head: octets(head.map((line) => `${line}\r\n`).join('')),
    tail: octets(tail),
    without: asked(options).filter((option) => !told.includes(option)),
  };
}

function settings(options: JobOptions): { lines: string[]; told: string[] } {
  const { copies, sides, media, finishings, 'print-color-mode': color, 'print-quality': quality } = options;
  const told: Partial<Record<keyof JobOptions, string[]>> = {};
  if (copies !== undefined) told.copies = [`QTY = ${copies}`];
  if (sides === 'one-sided') told.sides = ['DUPLEX = OFF'];
  else if (sides !== undefined) {
    told.sides = ['DUPLEX = ON', `BINDING = ${sides === 'two-sided-long-edge' ? 'LONGEDGE' : 'SHORTEDGE'}`];
  }
  if (color !== undefined && color !== 'auto') {
    told['print-color-mode'] = [`RENDERMODE = ${color === 'color' ? 'COLOR' : 'GRAYSCALE'}`];
  }
  const paper = media === undefined ? undefined : papers.get(media);
  if (paper !== undefined) told.media = [`PAPER = ${paper}`];
  if (quality === 3) told['print-quality'] = ['ECONOMODE = ON'];
  // one that has no stapler takes no notice
  if (finishings === stapled) told.finishings = ['FINISH = STAPLE', 'STAPLEOPTION = ONE'];
  const lines = Object.values(told).flat().map((setting) => `@PJL SET ${setting}`);
  return { lines, told: Object.keys(told) };
}

/** What a ticket asks for that is not what a printer does anyway. */
function asked(options: JobOptions): string[] {
  const usual: JobOptions = {
    copies: 1,
    sides: 'one-sided',
    'print-color-mode': 'auto',
    'number-up': 1,
    'job-sheets': 'none',
    'print-quality': 4,
    finishings: notFinished,
  };
  return Object.entries(options)
    .filter(([name, value]) => value !== undefined && value !== usual[name as keyof JobOptions])
    .map(([name]) => name);
}

/** Nothing of it can end the quotes, or the line, and begin a command. */
function quoted(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]|"/g, '_').slice(0, maxTextChars)}"`;
}

const encoder = new TextEncoder();
const octets = (text: string) => encoder.encode(text);
const empty = new Uint8Array(0);
