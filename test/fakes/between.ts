/** What is between edge nodes and a cloud: a real squid that lets CONNECT pass and nothing else, and a real nginx. */
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../../src/cli/children.ts';
import { type Kept, spawnKept, stop, tempDir, waitFor } from './processes.ts';
import { toolPath } from './require.ts';

const start_ms = 60_000;

export interface Between {
  readonly url: string;
  /** What it has logged of requests, a line each. */
  log(): string;
  stop(): Promise<void>;
}

/** An HTTP proxy on 127.0.0.1. */
export async function startSquid(): Promise<Between> {
  const port = await freePort();
  // it becomes a user who may write nowhere here when root starts it
  let log = '';
  const logged = createServer((socket) => {
    socket.on('data', (chunk) => log += chunk).on('error', () => {});
  });
  await new Promise<void>((resolve) => logged.listen(0, '127.0.0.1', resolve));
  const file = join(tempDir(), 'squid.conf');
  writeFileSync(
    file,
    [
      `http_port 127.0.0.1:${port}`,
      'acl CONNECT method CONNECT',
      'http_access deny !CONNECT',
      'http_access allow localhost',
      'http_access deny all',
      `access_log tcp://127.0.0.1:${(logged.address() as AddressInfo).port}`,
      'buffered_logs off',
      'pid_filename none',
      'cache_log /dev/null',
      'coredump_dir none',
      'cache deny all',
      'shutdown_lifetime 0 seconds',
      'visible_hostname localhost',
      '',
    ].join('\n'),
  );
  const squid = spawnKept(toolPath('squid') ?? 'squid', ['-N', '-f', file]);
  const started = await between(squid, port, `http://127.0.0.1:${port}`);
  const end = async () => {
    await started.stop();
    logged.close();
  };
  return { ...started, log: () => log, stop: end };
}

/**
 * A reverse proxy with TLS on 127.0.0.1, with the configuration that docs/CLOUD.md prints: only its address, files and
 * the cloud's port are filled in.
 * @param to port of the cloud, plain HTTP
 * @param tls PEM
 */
export async function startNginx(to: number, tls: { key: string; cert: string }): Promise<Between> {
  const [dir, port] = [tempDir(), await freePort()];
  writeFileSync(join(dir, 'key.pem'), tls.key);
  writeFileSync(join(dir, 'cert.pem'), tls.cert);
  const file = join(dir, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const { server, map } = documented();
  const filled = [
    ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`],
    ['/etc/ssl/print.pem', `${dir}/cert.pem`],
    ['/etc/ssl/print.key', `${dir}/key.pem`],
    ['http://127.0.0.1:8080;', `http://127.0.0.1:${to};`],
  ].reduce((text, [from = '', by = '']) => {
    if (!text.includes(from)) throw new Error(`docs/CLOUD.md says nothing of ${from} to nginx`);
    return text.replace(from, by);
  }, server);
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${dir}/pid; error_log stderr;
events { worker_connections 256; }
http {
  access_log /dev/stdout;
  ${temporary.map((name) => `${name}_temp_path ${dir}/${name};`).join(' ')}
  ${map}
${filled}
}
`,
  );
  const nginx = spawnKept(toolPath('nginx') ?? 'nginx', ['-c', file, '-e', 'stderr', '-p', dir]);
  return await between(nginx, port, `https://localhost:${port}`);
}

/** nginx's `server` block of docs/CLOUD.md, and the `map` that it says belongs beside it. */
function documented(): { server: string; map: string } {
  const page = readFileSync(new URL('../../docs/CLOUD.md', import.meta.url), 'utf8');
  const server = /^ {4}server \{\n(?: {4}.*\n)*? {4}\}\n/m.exec(page)?.[0];
  const map = /^ {4}# in http \{ \}: +(map .*\})$/m.exec(page)?.[1];
  if (server === undefined || map === undefined) {
    throw new Error('docs/CLOUD.md has no configuration of nginx');
  }
  return { server, map };
}

async function between(child: Kept, port: number, url: string): Promise<Between> {
  const answers = () =>
    new Promise<true | undefined>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      }).on('error', () => resolve(undefined));
    });
  await waitFor(answers, { deadline_ms: start_ms, what: `${url} to answer; ${child.stderr()}` });
  return { url, log: () => child.stdout(), stop: async () => void await stop(child) };
}
