/** What OpenSSL and a TLS handshake make of the organisation's certificates. */
import 'reflect-metadata';
import { writeFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  createOrganisation,
  exportKey,
  generateKeys,
  issueNode,
  type Issuer,
  issueTls,
  issueUser,
  toPem,
} from '../../mesh/authority.ts';
import { certify, distinguishedName, leafProfile, serverAuth } from '../../mesh/profile.ts';
import { fakePeer } from '../fakes/organisation.ts';
import { spawnKept, tempDir } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';

const now = Date.now();
const { authority } = await createOrganisation('Bäckerei Müller', now);
const { trust, meshIssuer, tlsIssuer } = authority;
const keys = await generateKeys();
const { publicKey } = keys;
const dnsNames = ['a.inkmesh.internal', 'pc-1.local', 'localhost'];
const addresses = [
  '127.0.0.1',
  '10.1.2.3',
  '172.16.0.1',
  '192.168.1.2',
  '169.254.1.1',
  'fd00::1',
  'fe80::1',
  '::1',
];
const tls = await issueTls(authority, { publicKey, commonName: 'pc-1', dnsNames, addresses }, now);
const chain = toPem('CERTIFICATE', tls) + toPem('CERTIFICATE', tlsIssuer.der);
const root = toPem('CERTIFICATE', trust.root);

const folder = tempDir();
const put = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const rootPath = put('root.pem', root);

/** What `openssl verify` says of a certificate that comes with this issuer. */
async function verdict(leaf: Uint8Array, issuer: Issuer, purpose: string): Promise<string> {
  const files = [
    put('issuer.pem', toPem('CERTIFICATE', issuer.der)),
    put('leaf.pem', toPem('CERTIFICATE', leaf)),
  ];
  const args = ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', rootPath, '-untrusted', ...files];
  const openssl = spawnKept('openssl', args);
  const { code } = await openssl.ended;
  return code === 0 ? 'ok' : openssl.stdout() + openssl.stderr();
}

/** A TLS certificate for these names that the API would not issue. */
function craft(issuer: Issuer, names: x509.JsonGeneralNames): Promise<Uint8Array> {
  const certificate = new x509.X509Certificate(new Uint8Array(issuer.der));
  return certify({
    issuer: { name: certificate.subjectName, publicKey: certificate.publicKey, key: issuer.key },
    subject: distinguishedName({ CN: 'rogue' }),
    publicKey,
    lifetime_ms: 3_600_000,
    extensions: leafProfile(serverAuth, names),
  }, now);
}

if (requireTools(['openssl'])) {
  test('openssl verifies TLS certificates, nodes and users', async () => {
    assert.is(await verdict(tls, tlsIssuer, 'sslserver'), 'ok');
    const node = { name: 'pc-1', site: 'a', peerId: fakePeer('A'), roles: ['front'], publicKey } as const;
    assert.is(await verdict(await issueNode(authority, node, now), meshIssuer, 'sslclient'), 'ok');
    for (const user of ['ada', 'ada.lovelace', 'ada@example.org']) {
      const subject = { user, device: crypto.randomUUID(), roles: ['admin'], publicKey } as const;
      assert.is(await verdict(await issueUser(authority, subject, now), meshIssuer, 'sslclient'), 'ok', user);
    }
  });

  test('openssl refuses what the TLS issuer may not name', async () => {
    for (
      const name of [
        { type: 'dns', value: 'example.com' },
        { type: 'dns', value: 'localhost.example.com' },
        { type: 'ip', value: '8.8.8.8' },
        { type: 'ip', value: '172.32.0.1' },
        { type: 'ip', value: '2001:db8::1' },
      ] as const
    ) {
      const inner = { type: 'dns', value: 'pc-1.local' } as const;
      assert.match(
        await verdict(await craft(tlsIssuer, [inner, name]), tlsIssuer, 'sslserver'),
        /permitted subtree/,
      );
    }
  });

  test('openssl refuses any TLS certificate of the mesh issuer', async () => {
    for (const name of [{ type: 'dns', value: 'pc-1.local' }, { type: 'ip', value: '127.0.0.1' }] as const) {
      const leaf = await craft(meshIssuer, [name]);
      assert.match(await verdict(leaf, meshIssuer, 'any'), /excluded subtree/);
      assert.is.not(await verdict(leaf, meshIssuer, 'sslserver'), 'ok');
    }
  });

  test('openssl s_client connects under every name and address', async () => {
    const server = createServer(
      { cert: chain, key: await exportKey(keys.privateKey) },
      (_, res) => res.end('hello'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const connect = async (...check: string[]) => {
        const options = ['-CAfile', rootPath, '-verify_return_error', ...check];
        const client = spawnKept('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...options]);
        await client.ended;
        return /Verify return code: (.*)/.exec(client.stdout())?.[1] ?? client.stderr();
      };
      for (const name of dnsNames) assert.is(await connect('-verify_hostname', name), '0 (ok)');
      for (const address of addresses) assert.is(await connect('-verify_ip', address), '0 (ok)');
      assert.is.not(await connect('-verify_hostname', 'b.inkmesh.internal'), '0 (ok)');
    } finally {
      server.close();
    }
  });
}

test('a client that trusts the root, and nothing else, is answered over HTTPS', async () => {
  const server = createServer(
    { cert: chain, key: await exportKey(keys.privateKey) },
    (_, res) => res.end('hello'),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const get = (host: string, ca?: string) =>
      new Promise<string>((resolve) => {
        const trusted = ca === undefined ? {} : { ca };
        const asked = request({ host, port, agent: false, ...trusted }, (response) => {
          response.setEncoding('utf8');
          let body = '';
          response.on('data', (text: string) => body += text);
          response.on('end', () => resolve(body));
        });
        asked.on('error', (error) => resolve(String(error)));
        asked.end();
      });
    assert.is(await get('localhost', root), 'hello');
    assert.is(await get('127.0.0.1', root), 'hello');
    assert.is.not(await get('127.0.0.1'), 'hello');
  } finally {
    server.close();
  }
});

test.run();
