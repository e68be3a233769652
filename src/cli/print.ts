/** The command that submits a document. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import { readCredential } from '../datadir.ts';
import { credentialPath, type Endpoint, localEndpoint } from './client.ts';
import { type Command, option, size, type Terminal } from './command.ts';
import { common, jobOptions, template, templateUsage } from './job-options.ts';
import { Submission } from './submission.ts';

/** Document formats by file name, IANA media types. */
const formats: Readonly<Record<string, string>> = {
  '.pdf': 'application/pdf',
  '.ps': 'application/postscript',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.pwg': 'image/pwg-raster',
  '.urf': 'image/urf',
};

export const print: Command = {
  name: 'print',
  usage: `FILE [--dir DIR] [--title T] ${templateUsage}`,
  about: 'submit a document to the first node that takes it; it waits until you release it',
  options: { ...common, ...template, title: option.text },
  positionals: 1,
  run: async (args, terminal) => {
    const file = args.at(0);
    const ticket = {
      title: args.optional('title') ?? basename(file),
      format: formats[extname(file).toLowerCase()] ?? 'application/octet-stream',
      options: jobOptions(args),
    };
    const total = await sizeOf(file);
    const path = args.optional('credential') ?? credentialPath();
    const accepted = await Submission.send({
      ...{ path, ticket },
      credential: await readCredential(path),
      local: await localNode(args.optional('dir'), terminal),
      document: (node) => read(file, total, `sending to ${node.name}`, terminal),
      onFailure: (reason) => terminal.say(`${reason} Trying the next one.`),
    });
    return {
      json: accepted,
      text: `${accepted.id}  ${size(accepted.bytes)}, held on ${accepted.holders.join(', ')}\n` +
        `Next: inkmesh release ${accepted.id} --printer NAME`,
    };
  },
};

/** The node of this machine, which is no reason to fail while it does not run. */
async function localNode(dir: string | undefined, terminal: Terminal): Promise<Endpoint | null> {
  if (dir === undefined) return null;
  try {
    return await localEndpoint(dir);
  } catch (thrown) {
    terminal.say(asInkmeshError(thrown).message);
    return null;
  }
}

/** @throws InkmeshError `not-found` */
async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

async function* read(
  file: string,
  total: number,
  label: string,
  terminal: Terminal,
): AsyncGenerator<Uint8Array> {
  let sent = 0;
  try {
    for await (const part of createReadStream(file, { highWaterMark: 256 * 1024 })) {
      sent += (part as Uint8Array).length;
      terminal.progress(label, sent, total);
      yield part as Uint8Array;
    }
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

function unreadable(file: string, cause: unknown): InkmeshError {
  return new InkmeshError('not-found', `${file} cannot be read: is the name right?`, {}, { cause });
}
