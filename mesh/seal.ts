/** Octets for certain nodes only: an age file (age-encryption.org/v1) to the X25519 recipients in their `node` facts. */
import { Decrypter, Encrypter, identityToRecipient } from 'age-encryption';
import { InkmeshError } from './errors.ts';

/** The recipient (`age1…`) that others seal to. @param sealKey `AGE-SECRET-KEY-1…` */
export function sealRecipient(sealKey: string): Promise<string> {
  return identityToRecipient(sealKey);
}

/** @param recipients `age1…`, one or several, each of whom can open it */
export async function sealFor(
  recipients: string | readonly string[],
  octets: Uint8Array,
): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  for (const recipient of [recipients].flat()) encrypter.addRecipient(recipient);
  return await encrypter.encrypt(octets);
}

/** Whether something can be sealed for a text that is stated to be a recipient. */
export async function canSealFor(recipient: string): Promise<boolean> {
  try {
    await sealFor(recipient, new Uint8Array(0));
    return true;
  } catch {
    return false;
  }
}

/**
 * @param sealKey `AGE-SECRET-KEY-1…`
 * @throws InkmeshError `corrupt` when it is not sealed for this key, or damaged
 */
export async function unseal(sealKey: string, sealed: Uint8Array): Promise<Uint8Array> {
  const decrypter = new Decrypter();
  decrypter.addIdentity(sealKey);
  try {
    return await decrypter.decrypt(sealed);
  } catch (cause) {
    throw new InkmeshError('corrupt', 'this is not sealed for this node', {}, { cause });
  }
}
