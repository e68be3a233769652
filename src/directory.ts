/** What the organisation's directory says of printing: users, submit tokens, printers. Registrars state it. */
import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { check, text } from '../mesh/codec.ts';
import { InkmeshError } from '../mesh/errors.ts';
import { directoryDoc, type Kind, type Mesh, registrarOnly } from '../mesh/mod.ts';
import { fingerprint, printerName, siteName, userName, uuid } from '../mesh/names.ts';

const userBody = v.strictObject({ email: v.optional(text(254)) });
const userKind: Kind<typeof userBody> = { name: 'user', body: userBody, check: registrarOnly };

const tokenBody = v.strictObject({ user: userName, device: uuid });
/** Its subject is the hex SHA-256 of a submit token. */
const tokenKind: Kind<typeof tokenBody> = {
  name: 'token',
  body: tokenBody,
  check(fact, author, known) {
    registrarOnly(fact, author);
    // hashes are no secret: whoever enrols with another's must not get that one's jobs
    const first = known.latest('token', fact.subject);
    if (first !== undefined && (first.author !== fact.author || first.seq !== fact.seq)) {
      throw new InkmeshError('conflict', 'this submit token is known already: log in again');
    }
  },
};

const printerUri = v.pipe(
  text(1023),
  v.check(
    (uri) => URL.canParse(uri) && /^(ipps?|socket):$/.test(new URL(uri).protocol),
    'use ipp://, ipps:// or socket://',
  ),
);
const printerBody = v.strictObject({
  uri: printerUri,
  site: siteName,
  /** SHA-256 of its TLS certificate, for ipps */
  fingerprint: v.optional(fingerprint),
  model: v.optional(text(255)),
});
const printerKind: Kind<typeof printerBody> = { name: 'printer', body: printerBody, check: registrarOnly };

export interface Printer extends v.InferOutput<typeof printerBody> {
  name: string;
}

export interface User extends v.InferOutput<typeof userBody> {
  name: string;
}

/** The kinds of facts that the mesh must carry for printing. */
export const directoryKinds: readonly Kind[] = [userKind, tokenKind, printerKind];

export class Directory {
  readonly #mesh: Mesh;

  constructor(mesh: Mesh) {
    this.#mesh = mesh;
  }

  users(): User[] {
    return this.#mesh.ledger.all(userKind.name).map((fact) => ({
      name: fact.subject,
      ...fact.body as v.InferOutput<typeof userBody>,
    }));
  }

  user(name: string): User | undefined {
    return this.users().find((user) => user.name === name);
  }

  async addUser(name: string, email: string | undefined): Promise<User> {
    check(userName, name);
    const body = email === undefined ? {} : { email };
    await this.#mesh.ledger.state(userKind, () => directoryDoc, name, body);
    return { name, ...body };
  }

  async addToken(hash: Uint8Array, user: string, device: string): Promise<void> {
    const subject = Buffer.from(hash).toString('hex');
    await this.#mesh.ledger.state(tokenKind, () => directoryDoc, subject, { user, device });
  }

  /** Whose a submit token is; undefined for one that this organisation has not given out. */
  tokenOwner(token: string): string | undefined {
    const fact = this.#mesh.ledger.latest(tokenKind.name, tokenHash(token).toString('hex'));
    return (fact?.body as v.InferOutput<typeof tokenBody> | undefined)?.user;
  }

  printers(): Printer[] {
    return this.#mesh.ledger.all(printerKind.name).map((fact) => ({
      name: fact.subject,
      ...fact.body as v.InferOutput<typeof printerBody>,
    }));
  }

  /** @throws InkmeshError `not-found` naming those that there are */
  printer(name: string): Printer {
    const printers = this.printers();
    const found = printers.find((printer) => printer.name === name);
    if (found !== undefined) return found;
    const names = printers.map((printer) => printer.name).join(', ') || 'none yet';
    throw new InkmeshError('not-found', `there is no printer "${name}"; there is: ${names}`);
  }

  async addPrinter(printer: Printer): Promise<Printer> {
    const { name, ...body } = printer;
    check(printerName, name);
    await this.#mesh.ledger.state(printerKind, () => directoryDoc, name, body);
    return printer;
  }
}

/** SHA-256 of a submit token. */
export function tokenHash(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
