/** Certificates that openssl makes. */
import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './processes.ts';

export interface TestCertificate {
  /** PEM */
  key: string;
  /** PEM */
  cert: string;
  /** SHA-256 of the DER, lower-case hexadecimal */
  fingerprint: string;
}

/** A fresh self-signed certificate for localhost and 127.0.0.1. Needs openssl. */
export function selfSigned(): TestCertificate {
  const dir = tempDir();
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
  const args = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
  ];
  execFileSync(
    'openssl',
    [...args, '-subj', '/CN=localhost', '-addext', names, '-keyout', key, '-out', cert],
    {
      stdio: 'ignore',
    },
  );
  const pem = readFileSync(cert, 'utf8');
  const { raw } = new X509Certificate(pem);
  return {
    key: readFileSync(key, 'utf8'),
    cert: pem,
    fingerprint: createHash('sha256').update(raw).digest('hex'),
  };
}
