/** What a cloud node serves TLS with: files of any CA, which are read again when they change, or the organisation's own. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { asInkmeshError, InkmeshError } from '../mesh/errors.ts';
import type { Log } from '../mesh/mod.ts';
import type { TlsKeys } from '../src/listen.ts';
import type { CloudConfig } from './config.ts';

/** how often the files are looked at */
const look_ms = 60_000;

export interface Certificate {
  /** undefined: plain HTTP */
  readonly keys: TlsKeys | undefined;
  /** Takes the organisation's new certificate for this node. */
  renew(tls: TlsKeys): void;
  /** set by who serves: takes new keys into use on the public port, and on that of this machine */
  serve(tls: TlsKeys): void;
  serveOwn(tls: TlsKeys): void;
  close(): void;
}

/** @throws InkmeshError `not-found` when the files cannot be read */
export async function certificateOf(tls: CloudConfig['tls'], own: TlsKeys, log: Log): Promise<Certificate> {
  const files = typeof tls === 'string' ? undefined : tls;
  let keys = tls === 'none' ? undefined : files === undefined ? own : await readKeys(files);
  const look = async () => {
    if (files === undefined) return;
    try {
      const now = await readKeys(files);
      if (now.cert === keys?.cert && now.key === keys.key) return;
      // they are written one after the other: what does not fit yet may at the next look
      refuseMismatch(now);
      certificate.serve(now);
      keys = now;
      log('info', 'the certificate’s files have changed: they are served from now on', {});
    } catch (thrown) {
      log('error', 'the certificate cannot be read again', { reason: asInkmeshError(thrown).message });
    }
  };
  const timer = files === undefined ? undefined : setInterval(() => void look(), look_ms);
  const certificate: Certificate = {
    keys,
    renew: (renewed) => {
      certificate.serveOwn(renewed);
      if (tls === 'organisation') certificate.serve(renewed);
    },
    serve: () => {},
    serveOwn: () => {},
    close: () => clearInterval(timer),
  };
  return certificate;
}

/** @throws InkmeshError `conflict` when the key is not the certificate's, or one of them is none */
export function refuseMismatch({ key, cert }: TlsKeys): void {
  let fits = false;
  try {
    fits = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw new InkmeshError('conflict', 'the key or the certificate cannot be read', {}, { cause });
  }
  if (!fits) throw new InkmeshError('conflict', 'the key is not that of the certificate');
}

/** @throws InkmeshError `not-found` */
export async function readKeys({ key, certificate }: { key: string; certificate: string }): Promise<TlsKeys> {
  try {
    return { key: await readFile(key, 'utf8'), cert: await readFile(certificate, 'utf8') };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new InkmeshError('not-found', `the certificate of the cloud node cannot be read: ${reason}`, {}, {
      cause,
    });
  }
}
