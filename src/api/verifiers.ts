/** API routes of administrators: badges and PINs of users. */
import type { Context } from 'hono';
import * as v from 'valibot';
import { check } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { userName } from '../../mesh/names.ts';
import { panelLimits } from '../limits.ts';
import { newPin, type Verifiers } from '../panel/verifier.ts';
import { type AdminDoors, requireRegistrar } from './admin.ts';
import { type Api, type ApiEnv, signedJson } from './app.ts';

export interface VerifierDoors extends AdminDoors {
  verifiers: Verifiers;
}

const secret = v.pipe(v.string(), v.maxLength(panelLimits.maxPinChars));
/** null has one generated */
const pinRequest = v.strictObject({ pin: v.nullable(secret) });
const badgeRequest = v.strictObject({ badge: secret, short: v.boolean() });
const nothing = v.strictObject({});

export function verifierRoutes(api: Api, doors: VerifierDoors): void {
  const { verifiers } = doors;
  api.post('/v1/users/:name/pin', async (c) => {
    const { user, body } = await asked(c, doors, pinRequest);
    refuseRevoked(doors, user);
    const pin = body.pin ?? newPin();
    await verifiers.setPin(user, pin);
    return c.json({ user, pin });
  });
  api.post('/v1/users/:name/badge', async (c) => {
    const { user, body } = await asked(c, doors, badgeRequest);
    refuseRevoked(doors, user);
    await verifiers.setBadge(user, body.badge, body.short);
    return c.json({ user });
  });
  api.post('/v1/users/:name/pin/remove', async (c) => {
    const { user } = await asked(c, doors, nothing);
    await verifiers.removePin(user);
    return c.json({ user });
  });
  api.post('/v1/users/:name/badge/remove', async (c) => {
    const { user } = await asked(c, doors, nothing);
    await verifiers.removeBadge(user);
    return c.json({ user });
  });
}

/** What an administrator asks of a registrar about a user that there is. */
async function asked<S extends v.GenericSchema>(
  c: Context<ApiEnv>,
  doors: VerifierDoors,
  schema: S,
): Promise<{ user: string; body: v.InferOutput<S> }> {
  requireRegistrar(c, doors);
  const body = check(schema, await signedJson(c));
  const user = check(userName, c.req.param('name') ?? '');
  if (doors.directory.user(user) === undefined) {
    throw new InkmeshError('not-found', `there is no user "${user}": inkmesh user add ${user}`);
  }
  return { user, body };
}

/** What somebody has who has left is taken back, and nothing is given. */
function refuseRevoked({ directory }: VerifierDoors, user: string): void {
  if (directory.revokedSince('user', user) === null) return;
  throw new InkmeshError('conflict', `the user ${user} is revoked`);
}
