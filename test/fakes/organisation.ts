/** Real organisations for tests, with as many certified nodes and users as a test asks for. */
import {
  type Authority,
  createOrganisation,
  generateKeys,
  issueNode,
  issueUser,
} from '../../mesh/authority.ts';
import type { Credential } from '../../mesh/grant.ts';
import type { Role } from '../../mesh/names.ts';

/** A PeerId that nobody has, the same for the same letter of base58. */
export const fakePeer = (letter: string) => `12D3KooW${letter.repeat(44)}`;

export async function fakeAuthority(name: string, now: number): Promise<Authority> {
  return (await createOrganisation(name, now)).authority;
}

export async function fakeUser(
  authority: Authority,
  user: string,
  now: number,
  roles: readonly Role[] = [],
): Promise<Credential> {
  const { publicKey, privateKey } = await generateKeys();
  const subject = { user, device: crypto.randomUUID(), roles, publicKey };
  return {
    user,
    certificate: await issueUser(authority, subject, now),
    issuers: [authority.meshIssuer.der],
    key: privateKey,
    trust: authority.trust,
  };
}

/** A node's certificate and key in the form of a credential, which no user's is. */
export async function fakeNode(authority: Authority, name: string, now: number): Promise<Credential> {
  const { publicKey, privateKey } = await generateKeys();
  const subject = { name, site: 'a', peerId: fakePeer('A'), roles: [], publicKey };
  return {
    user: name,
    certificate: await issueNode(authority, subject, now),
    issuers: [authority.meshIssuer.der],
    key: privateKey,
    trust: authority.trust,
  };
}

/** The code and the sentence of the domain error with which `action` rejects; '' when it does not. */
export async function refusalOf(action: () => unknown): Promise<string> {
  try {
    await action();
    return '';
  } catch (error) {
    if (error instanceof Error && 'code' in error) return `${String(error.code)}: ${error.message}`;
    throw error;
  }
}
