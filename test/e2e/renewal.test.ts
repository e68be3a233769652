/** Certificates that are about to end are renewed by real processes, without anybody's doing and without a restart. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fromPem, importAuthority, issueUser, toPem } from '../../mesh/authority.ts';
import { type NodeIdentity, type UserIdentity, verifyIdentity } from '../../mesh/certificate.ts';
import { certifyNode } from '../../mesh/issue.ts';
import { waitFor } from '../fakes/processes.ts';
import { ink, startOrganisation } from './organisation.ts';

const day_ms = 24 * 3600_000;
const org = await startOrganisation();
const [a1, a3] = [org.node('a1'), org.node('a3')];
const registrar = JSON.parse(readFileSync(join(a1.dir, 'registrar.json'), 'utf8')) as unknown;
const authority = await importAuthority(registrar);
/** when a certificate was issued that is due now */
const longAgo_ms = Date.now() - 70 * day_ms;

test.after(async () => await org.stop());

interface Held {
  certificate: string;
  issuers: string[];
  tls: { certificate: string; issuer: string };
}

const read = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Held;

async function identityIn(path: string): Promise<NodeIdentity | UserIdentity> {
  const { certificate, issuers } = read(path);
  return await verifyIdentity(authority.trust, fromPem(certificate), issuers.map(fromPem), Date.now());
}

const pem = (der: Uint8Array) => toPem('CERTIFICATE', der);

/** Until when the certificate lasts that a port is served with. */
function servedUntil(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(Date.parse(socket.getPeerCertificate().valid_to));
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

test('a node whose certificate is due gets the next one while it runs, and serves TLS with it', async () => {
  const path = join(a3.dir, 'node.json');
  const identity = await identityIn(path);
  if (identity.kind !== 'node') throw new TypeError('not a node');
  await org.kill('a3');
  const { name, site, peerId, roles, publicKey } = identity;
  const subject = { name, site, peerId, roles, publicKey };
  const { leaf, tls } = await certifyNode(authority, subject, ['127.0.0.1'], longAgo_ms);
  const due = { certificate: pem(leaf), tls: { certificate: pem(tls.leaf), issuer: pem(tls.issuer) } };
  writeFileSync(path, JSON.stringify({ ...read(path), ...due }));
  await org.restart('a3');
  await waitFor(() => read(path).certificate === due.certificate ? undefined : true, {
    deadline_ms: 20_000,
    what: 'a new certificate to be kept',
  });
  const renewed = await identityIn(path);
  assert.ok(renewed.kind === 'node' && renewed.peerId === identity.peerId && renewed.name === 'a3');
  for (const port of [a3.ports.https, a3.ports.release]) {
    await waitFor(async () => await servedUntil(port) > Date.now() + 80 * day_ms || undefined, {
      deadline_ms: 30_000,
      what: `port ${port} to be served with the new certificate`,
    });
  }
  await ink(['jobs', ...org.as('ada', 'a3')]);
  await org.restart('a3');
  await org.connected();
});

test('a device’s credential is renewed when it is used, at whichever node', async () => {
  const { credential } = org.user('ada');
  const identity = await identityIn(credential);
  if (identity.kind !== 'user') throw new TypeError('not a user');
  const { user, device, roles, publicKey } = identity;
  const due = pem(await issueUser(authority, { user, device, roles, publicKey }, longAgo_ms));
  writeFileSync(credential, JSON.stringify({ ...read(credential), certificate: due }));
  await ink(['jobs', ...org.as('ada', 'a3')]);
  assert.is.not(read(credential).certificate, due);
  const renewed = await identityIn(credential);
  assert.ok(renewed.kind === 'user' && renewed.device === identity.device);
  assert.ok(renewed.notAfter > Date.now() + 80 * day_ms);
  await ink(['jobs', ...org.as('ada', 'a1')]);
});

test.run();
