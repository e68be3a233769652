/** API routes of printers: what there is, adding one, and accepting its new certificate. */
import { isDeepStrictEqual } from 'node:util';
import type { Context } from 'hono';
import * as v from 'valibot';
import { check, printable } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { printerName, siteName } from '../../mesh/names.ts';
import { isSystemQueue, type Probe, probe } from '../deliver/deliver.ts';
import { pjlFormat } from '../deliver/formats.ts';
import { formatSchema, type Printer, printerFacts, printerUri } from '../directory.ts';
import type { PrinterOptions } from '../job.ts';
import { printerLimits } from '../limits.ts';
import { type Asking, hostOf, identify } from '../printers/identity.ts';
import { papers } from '../release/papers.ts';
import { type AdminDoors, requireRegistrar } from './admin.ts';
import { type Api, type ApiEnv, requireAdmin, signedJson } from './app.ts';

const nothing = v.strictObject({});
/** A printer that is to be looked at. */
const lookRequest = v.strictObject({
  name: printerName,
  uri: printerUri,
  /** of a printer that is known: as they are, where there are none */
  more: v.optional(v.pipe(v.array(printerUri), v.maxLength(printerLimits.maxMore)), []),
  site: siteName,
  /** whether it speaks PJL, which a RAW printer cannot be asked */
  pjl: v.optional(v.boolean(), false),
});

/** What a node has seen of a printer, and as what it knew it before: null for a new one. */
const seen = v.strictObject({
  printer: v.strictObject({ name: printerName, ...printerFacts.entries }),
  before: v.nullable(v.strictObject({ name: printerName, ...printerFacts.entries })),
});
export type Seen = v.InferOutput<typeof seen>;

export interface PrinterAdminDoors extends AdminDoors {
  /** how printers are asked who they are */
  asking: Asking;
}

export function printerAdminRoutes(api: Api, doors: PrinterAdminDoors): void {
  api.get('/v1/printers', (c) => c.json(doors.directory.printers()));
  api.post('/v1/printers/look', async (c) => {
    requireAdmin(c);
    return c.json(await look(check(lookRequest, await signedJson(c)), doors));
  });
  api.post('/v1/printers/:name/look', async (c) => {
    requireAdmin(c);
    check(nothing, await signedJson(c));
    return c.json(await lookAgain(check(printerName, c.req.param('name')), doors));
  });
  api.post('/v1/printers', (c) => statePrinter(c, doors));
  api.post('/v1/printers/:name/remove', async (c) => {
    requireRegistrar(c, doors);
    check(nothing, await signedJson(c));
    const name = check(printerName, c.req.param('name'));
    await doors.directory.removePrinter(name);
    return c.json({ name, removed: true });
  });
}

/** Asks a printer that this node reaches who it is, and what it takes. */
async function look(
  { name, uri, more, site, pjl }: v.InferOutput<typeof lookRequest>,
  doors: PrinterAdminDoors,
): Promise<Seen> {
  const before = doors.directory.printers().find((known) => known.name === name);
  const found = await asked([uri, ...more]);
  const { fingerprint } = found;
  const who = await identify({ uri, ...(fingerprint === undefined ? {} : { fingerprint }) }, doors.asking);
  if (before !== undefined) refuseAnother(before, { uri, fingerprint, ...who });
  const others = more.length > 0 ? more : keptAddresses(before, uri);
  const formats = formatsOf(found, pjl || before?.formats?.includes(pjlFormat) === true);
  const options = optionsOf(found);
  const model = found.makeAndModel ?? who.model;
  // what it does not say now it is still
  const { uuid = before?.uuid, serial = before?.serial } = who;
  const printer: Printer = {
    ...{ name, uri, site },
    ...(others.length === 0 ? {} : { more: others }),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(model === undefined ? {} : { model: printable(model, 255) }),
    ...(uuid === undefined ? {} : { uuid }),
    ...(serial === undefined ? {} : { serial }),
    ...(formats.length === 0 ? {} : { formats }),
    ...(Object.keys(options).length === 0 ? {} : { options }),
  };
  return { printer, before: before ?? null };
}

/** States what a node has seen for an administrator, who signs for it: a registrar need not reach the printer. */
async function statePrinter(c: Context<ApiEnv>, doors: PrinterAdminDoors): Promise<Response> {
  requireRegistrar(c, doors);
  const { printer, before } = check(seen, await signedJson(c));
  refuseChanged(doors, printer.name, before ?? undefined);
  if (!isDeepStrictEqual(printer, before)) await doors.directory.addPrinter(printer);
  return c.json(printer);
}

/** @throws InkmeshError `conflict` when somebody else has changed a printer while it was asked who it is */
function refuseChanged(
  { directory }: Pick<AdminDoors, 'directory'>,
  name: string,
  before: Printer | undefined,
): void {
  const now = directory.printers().find((known) => known.name === name);
  if (isDeepStrictEqual(now, before)) return;
  throw new InkmeshError(
    'conflict',
    `${name} was changed by somebody else at the same time: look, and try again`,
  );
}

/**
 * What is known under a name stays what it is: its address may change, not who answers there.
 * @throws InkmeshError `conflict` for another certificate, or none, for another printer, and, at another host, for one
 * that does not say any more who it is
 */
function refuseAnother(
  before: Printer,
  shown: Pick<Printer, 'uri' | 'fingerprint' | 'uuid' | 'serial'>,
): void {
  const { name, fingerprint } = before;
  const instead = `if it is another printer, run inkmesh printer remove ${name} first`;
  if (fingerprint !== undefined && shown.fingerprint === undefined) {
    throw new InkmeshError(
      'conflict',
      `${name} is known with a certificate, and this address has none: use its ipps:// address; ${instead}`,
    );
  }
  if (fingerprint !== undefined && fingerprint !== shown.fingerprint) {
    throw new InkmeshError(
      'conflict',
      `${name} is known with the certificate ${fingerprint}, and shows ${shown.fingerprint} here: find out why. ` +
        `If that is right, run inkmesh printer accept ${name}; ${instead}`,
    );
  }
  for (const what of ['uuid', 'serial'] as const) {
    if (before[what] === undefined) continue;
    if (shown[what] === undefined) {
      if (hostOf(before.uri) === hostOf(shown.uri)) continue;
      throw new InkmeshError(
        'conflict',
        `${name} is known with a ${what}, and what is at this address does not say its own: ${instead}`,
      );
    }
    if (before[what] === shown[what]) return;
    throw new InkmeshError(
      'conflict',
      `at this address is not ${name}, but a printer with another ${what}: ${instead}`,
    );
  }
}

/** The further addresses of a printer that is given a new first one, without those at the place that it has left. */
function keptAddresses(before: Printer | undefined, uri: string): string[] {
  if (before === undefined) return [];
  const left = hostOf(before.uri) === hostOf(uri) ? undefined : hostOf(before.uri);
  return (before.more ?? []).filter((known) => known !== uri && hostOf(known) !== left);
}

/**
 * What the addresses of one printer say, the first that says it counting.
 * @throws InkmeshError `unavailable` when one cannot be reached, `conflict` when two show different certificates
 */
async function asked(uris: readonly string[]): Promise<Probe> {
  const found: Probe = {};
  for (const uri of uris) {
    const said: Probe = await probe(uri).catch((thrown: unknown) => {
      // a queue of a machine that need not be this one
      if (isSystemQueue(uri)) return {};
      throw thrown;
    });
    const { fingerprint } = said;
    if (fingerprint !== undefined && found.fingerprint !== undefined && fingerprint !== found.fingerprint) {
      const message =
        'the addresses show different certificates, as two printers do: give those of one printer';
      throw new InkmeshError('conflict', message);
    }
    Object.assign(found, { ...said, ...found });
  }
  return found;
}

/**
 * Without their parameters, and without what is none. More than a fact holds are left out together: a format that is
 * missing would count as one that it does not take.
 */
function formatsOf({ formats = [] }: Probe, pjl: boolean): string[] {
  const plain = formats.map((format) => format.toLowerCase().split(';')[0]?.trim() ?? '');
  const said = plain.filter((format) => v.is(formatSchema, format));
  const known = [...new Set([...said, ...(pjl ? [pjlFormat] : [])])];
  return known.length > printerLimits.maxFormats ? (pjl ? [pjlFormat] : []) : known;
}

/** Of the paper only what pages offer. */
function optionsOf({ options: { media, ...options } = {} }: Probe): PrinterOptions {
  return media === undefined
    ? options
    : { ...options, media: media.filter((size) => Object.hasOwn(papers, size)) };
}

/** Asks a printer that is known for the certificate that it shows now. */
async function lookAgain(name: string, { directory }: PrinterAdminDoors): Promise<Seen> {
  const before = directory.printer(name);
  const secure = [before.uri, ...before.more ?? []].filter((uri) => uri.startsWith('ipps:'));
  if (secure.length === 0) {
    throw new InkmeshError('conflict', `${name} has no address with ipps://, so it has no certificate`);
  }
  const { fingerprint } = await asked(secure);
  if (fingerprint === undefined) throw new InkmeshError('unavailable', 'the printer showed no certificate');
  return { printer: { ...before, fingerprint }, before };
}
