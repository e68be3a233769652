/** API routes of printers: what there is, adding one, and accepting its new certificate. */
import type { Context } from 'hono';
import * as v from 'valibot';
import { check, text } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { printerName, siteName } from '../../mesh/names.ts';
import { isSystemQueue, type Probe, probe } from '../deliver/deliver.ts';
import { pjlFormat } from '../deliver/formats.ts';
import type { Printer } from '../directory.ts';
import { printerLimits } from '../limits.ts';
import { type Asking, identify } from '../printers/identity.ts';
import { type AdminDoors, requireRegistrar } from './admin.ts';
import { type Api, type ApiEnv, signedJson } from './app.ts';

const uri = text(1023);
const printerRequest = v.strictObject({
  name: printerName,
  uri,
  more: v.optional(v.pipe(v.array(uri), v.maxLength(printerLimits.maxMore)), []),
  site: siteName,
  /** whether it speaks PJL, which a RAW printer cannot be asked */
  pjl: v.optional(v.boolean(), false),
});

/** What `printer accept` shows. Fingerprints are SHA-256, hexadecimal. */
export interface Accepted {
  printer: string;
  /** null where none was accepted before */
  old: string | null;
  new: string;
}

export interface PrinterAdminDoors extends AdminDoors {
  /** how printers are asked who they are */
  asking: Asking;
}

export function printerAdminRoutes(api: Api, doors: PrinterAdminDoors): void {
  api.get('/v1/printers', (c) => c.json(doors.directory.printers()));
  api.post('/v1/printers', (c) => addPrinter(c, doors));
  api.post('/v1/printers/:name/accept', (c) => acceptPrinter(c, doors));
}

async function addPrinter(c: Context<ApiEnv>, doors: PrinterAdminDoors): Promise<Response> {
  requireRegistrar(c, doors);
  const { name, uri, more, site, pjl } = check(printerRequest, await signedJson(c));
  const found = await asked([uri, ...more]);
  const { fingerprint } = found;
  const who = await identify({ uri, ...(fingerprint === undefined ? {} : { fingerprint }) }, doors.asking);
  const formats = formatsOf(found, pjl);
  const printer: Printer = {
    ...{ name, uri, site },
    ...(more.length === 0 ? {} : { more }),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...modelOf(found.makeAndModel ?? who.model),
    ...(who.uuid === undefined ? {} : { uuid: who.uuid }),
    ...(who.serial === undefined ? {} : { serial: who.serial }),
    ...(formats.length === 0 ? {} : { formats }),
  };
  return c.json(await doors.directory.addPrinter(printer));
}

const modelOf = (model: string | undefined) => model === undefined ? {} : { model };

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

/** More than a fact holds are left out together: a format that is missing would count as one that it does not take. */
function formatsOf({ formats = [] }: Probe, pjl: boolean): string[] {
  const known = [...new Set([...formats.map((format) => format.toLowerCase()), ...(pjl ? [pjlFormat] : [])])];
  return known.length > printerLimits.maxFormats ? (pjl ? [pjlFormat] : []) : known;
}

/** Asks the printer for its certificate, and pins that from now on. */
async function acceptPrinter(c: Context<ApiEnv>, doors: AdminDoors): Promise<Response> {
  requireRegistrar(c, doors);
  const { directory } = doors;
  const printer = directory.printer(check(printerName, c.req.param('name') ?? ''));
  const secure = [printer.uri, ...printer.more ?? []].filter((uri) => uri.startsWith('ipps:'));
  if (secure.length === 0) {
    throw new InkmeshError(
      'conflict',
      `${printer.name} has no address with ipps://, so it has no certificate`,
    );
  }
  const { fingerprint } = await asked(secure);
  if (fingerprint === undefined) throw new InkmeshError('unavailable', 'the printer showed no certificate');
  const accepted: Accepted = {
    ...{ printer: printer.name, old: printer.fingerprint ?? null, new: fingerprint },
  };
  if (fingerprint !== printer.fingerprint) await directory.addPrinter({ ...printer, fingerprint });
  return c.json(accepted);
}
