/** What the organisation's directory says of printing: users, submit tokens, printers. Registrars state it. */
import * as v from 'valibot';
import { check, text } from '../mesh/codec.ts';
import { InkmeshError } from '../mesh/errors.ts';
import {
  deviceOf,
  directoryDoc,
  type Kind,
  type Mesh,
  registrarOnly,
  type Revocable,
  revocationOf,
  revokedKind,
  revokedSince,
  tokenKind,
  type TokenOwner,
} from '../mesh/mod.ts';
import { fingerprint, printerName, siteName, userName } from '../mesh/names.ts';
import { printerOptionsSchema } from './job.ts';
import { printerLimits } from './limits.ts';
import { failedKind, lockedKind } from './panel/lock.ts';
import { badgeKind, pinKind } from './panel/verifier.ts';
import { reachKind } from './printers/reach-kind.ts';

const userBody = v.strictObject({ email: v.optional(text(254)) });
const userKind: Kind<typeof userBody> = { name: 'user', body: userBody, check: registrarOnly };

/** of ipp, ipps and socket, or `system:QUEUE`: a print queue of the operating system (CUPS, Windows) */
export const printerUri = v.pipe(
  text(1023),
  v.check(
    (uri) => {
      if (!URL.canParse(uri)) return false;
      const { protocol, hostname, username, password } = new URL(uri);
      // everybody sees it: a password does not belong there
      const isHost = hostname !== '' && username === '' && password === '';
      return (/^(ipps?|socket):$/.test(protocol) && isHost) || /^system:[^\s/#?%'"\\]{1,127}$/.test(uri);
    },
    'use ipp://, ipps:// or socket:// without a password, or system:QUEUE',
  ),
);
/** MIME media type, lower case */
export const formatSchema = v.pipe(text(127), v.regex(/^[a-z0-9.+-]+\/[a-z0-9.+-]+$/));
export const printerFacts = v.strictObject({
  uri: printerUri,
  /** further addresses of the same printer, in the order in which they are tried */
  more: v.optional(v.pipe(v.array(printerUri), v.maxLength(printerLimits.maxMore))),
  site: siteName,
  /** SHA-256 of its TLS certificate, for ipps */
  fingerprint: v.optional(fingerprint),
  model: v.optional(text(255)),
  /** `printer-uuid` and serial number: who it is, whatever its address */
  uuid: v.optional(text(63)),
  serial: v.optional(text(255)),
  /** what it takes, `application/vnd.hp-pjl` among them where it speaks PJL; not known where there are none */
  formats: v.optional(v.pipe(v.array(formatSchema), v.maxLength(printerLimits.maxFormats))),
  /** which options it takes; of those that pages offer */
  options: v.optional(printerOptionsSchema),
});
/** empty: there is no such printer any more */
const printerBody = v.union([printerFacts, v.strictObject({})]);
const printerKind: Kind<typeof printerBody> = { name: 'printer', body: printerBody, check: registrarOnly };

export interface Printer extends v.InferOutput<typeof printerFacts> {
  name: string;
}

export interface User extends v.InferOutput<typeof userBody> {
  name: string;
}

export interface Device {
  /** UUID */
  id: string;
  user: string;
  /** ISO 8601, as is `revoked` */
  enrolled: string;
  revoked: string | null;
  /** ISO 8601: till when its printer address holds */
  token_expires: string;
  /** of a browser: the host name at which it has enrolled */
  origin?: string;
}

/** the last moment that has a date */
const latest_ms = 8.64e15;

/** The kinds of facts that the mesh must carry for printing. */
export const directoryKinds: readonly Kind[] = [
  userKind,
  printerKind,
  pinKind,
  badgeKind,
  lockedKind,
  failedKind,
  reachKind,
];

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

  /** @throws InkmeshError `conflict` when the name was revoked: that is for good */
  async addUser(name: string, email: string | undefined): Promise<User> {
    check(userName, name);
    if (this.revokedSince('user', name) !== null) {
      throw new InkmeshError('conflict', `the user ${name} was revoked, which is for good: use another name`);
    }
    const body = email === undefined ? {} : { email };
    await this.#mesh.ledger.state(userKind, () => directoryDoc, name, body);
    return { name, ...body };
  }

  /** @throws InkmeshError `conflict` when the token is another device's */
  async addToken(hash: Uint8Array, { user, device, expires_ms }: TokenOwner): Promise<void> {
    const first = deviceOf(this.#mesh.ledger, hash);
    if (first !== undefined && first.device !== device) {
      throw new InkmeshError('conflict', 'this submit token is known already: log in again');
    }
    await this.#mesh.ledger.state(tokenKind, () => directoryDoc, hash.toHex(), { user, device, expires_ms });
  }

  /** Every device that has logged in. */
  devices(): Device[] {
    const { ledger } = this.#mesh;
    const devices = ledger.all(tokenKind.name).flatMap((fact) =>
      ledger.first(tokenKind.name, fact.subject) ?? []
    );
    return devices.map(({ body, time_ms }) => {
      const { user, device, expires_ms, origin } = body as TokenOwner;
      const revoked = this.revokedSince('device', device) ?? this.revokedSince('user', user);
      const token_expires = new Date(Math.min(expires_ms, latest_ms)).toISOString();
      return {
        ...{ id: device, user, enrolled: new Date(time_ms).toISOString(), revoked, token_expires },
        ...(origin === undefined ? {} : { origin }),
      };
    });
  }

  /** Shuts out a node, a device or a user, for good. */
  async revoke(what: Revocable, id: string): Promise<void> {
    await this.#mesh.ledger.state(revokedKind, () => directoryDoc, revocationOf(what, id), {});
  }

  /** ISO 8601, null for who is not revoked. */
  revokedSince(what: Revocable, id: string): string | null {
    const since_ms = revokedSince(this.#mesh.ledger, what, id);
    return since_ms === undefined ? null : new Date(since_ms).toISOString();
  }

  printers(): Printer[] {
    return this.#mesh.ledger.all(printerKind.name).flatMap(({ subject, body }) =>
      'uri' in (body as object) ? { name: subject, ...body as v.InferOutput<typeof printerFacts> } : []
    );
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

  /** Nothing is released there any more; what is on its way goes on. @throws InkmeshError `not-found` */
  async removePrinter(name: string): Promise<void> {
    this.printer(name);
    await this.#mesh.ledger.state(printerKind, () => directoryDoc, name, {});
  }
}
