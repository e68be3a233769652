/** A multipart/form-data body (RFC 7578) read as it comes: fields, then one file, of which memory holds a few chunks. */
import { Busboy, type BusboyInstance } from '@fastify/busboy';
import type { Readable } from 'node:stream';
import { InkmeshError } from '../../mesh/errors.ts';
import { httpLimits } from '../limits.ts';

export interface Form {
  /** what came before the file */
  readonly fields: ReadonlyMap<string, string>;
  /** of the file's part; `text/plain` when it says nothing */
  readonly type: string;
  readonly fileName: string;
  /** ends only when the whole body is well-formed. @throws InkmeshError (while it is read) `bad-request` */
  readonly file: AsyncIterable<Uint8Array>;
  /** To be called when the file is not read any further. */
  close(): void;
}

/**
 * Resolves when the file begins.
 * @param contentType with its boundary
 * @throws InkmeshError `bad-request` without a file, or for fields that are too many, too long, or come twice
 */
export async function readForm(body: AsyncIterable<Uint8Array>, contentType: string): Promise<Form> {
  const form = parserOf(contentType);
  const fields = new Map<string, string>();
  const begun = Promise.withResolvers<Pick<Form, 'type' | 'fileName'> & { stream: Readable }>();
  const refuse = (message: string) => void form.destroy(new InkmeshError('bad-request', message));
  let hasFile = false;
  form.on('field', (name, value, _nameCut, valueCut) => {
    if (hasFile) refuse(`the field ${name} comes after the file: send the file last`);
    else if (valueCut || fields.has(name)) refuse(`the field ${name} is too long, or there twice`);
    else fields.set(name, value);
  });
  form.on('file', (_name, stream, fileName, _encoding, type) => {
    hasFile = true;
    begun.resolve({ stream, type, fileName: fileName ?? '' });
  });
  for (const event of ['partsLimit', 'filesLimit', 'fieldsLimit'] as const) {
    form.on(event, () => refuse('send one file, and no field twice'));
  }
  const whole = readWhole(form, body);
  const missing = () => begun.reject(new InkmeshError('bad-request', 'the file is missing'));
  whole.then(missing, (error) => begun.reject(error));
  const { stream, ...rest } = await begun.promise;
  const close = () => {
    form.destroy();
    stream.destroy();
  };
  // it may break before anybody reads it: whoever does is told then
  stream.on('error', () => {});
  whole.catch((error) => stream.destroy(error));
  return { fields, ...rest, file: untilWhole(stream, whole, close), close };
}

/** @throws InkmeshError `bad-request` */
function parserOf(contentType: string): BusboyInstance {
  const { maxFields, maxFieldBytes, maxPartHeaders } = httpLimits;
  try {
    return new Busboy({
      headers: { 'content-type': contentType },
      limits: {
        fields: maxFields,
        files: 1,
        parts: maxFields + 1,
        fieldSize: maxFieldBytes,
        headerPairs: maxPartHeaders,
        headerSize: maxPartHeaders * maxFieldBytes,
      },
    });
  } catch (cause) {
    throw new InkmeshError('bad-request', 'the form has no boundary', {}, { cause });
  }
}

/** Writes one chunk at a time, each when the one before has been taken. */
function readWhole(form: BusboyInstance, body: AsyncIterable<Uint8Array>): Promise<void> {
  let breakOff: (reason: unknown) => void = () => {};
  const write = (chunk: Uint8Array) =>
    new Promise<void>((resolve, reject) => {
      breakOff = reject;
      form.write(chunk, (error) => error ? reject(error) : resolve());
    });
  return new Promise((resolve, reject) => {
    const fail = (thrown: unknown) => {
      const error = asRefusal(thrown);
      breakOff(error);
      reject(error);
    };
    form.once('finish', resolve);
    form.on('error', fail);
    form.once('close', () => fail(new InkmeshError('bad-request', 'the form was not read to its end')));
    const pump = async () => {
      for await (const chunk of body) await write(chunk);
      form.end();
    };
    pump().catch(fail);
  });
}

async function* untilWhole(
  stream: Readable,
  whole: Promise<void>,
  close: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    yield* stream as AsyncIterable<Uint8Array>;
    await whole;
  } catch (thrown) {
    throw asRefusal(thrown);
  } finally {
    close();
  }
}

/** What the parser says in words of its own is about the form. */
function asRefusal(thrown: unknown): InkmeshError {
  if (thrown instanceof InkmeshError) return thrown;
  return new InkmeshError('bad-request', 'the form is not well-formed', {}, { cause: thrown });
}
