/** What is between edge nodes and a cloud: a real squid that lets CONNECT pass and nothing else, and a real nginx. */
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../../src/cli/children.ts';
import { selfSigned } from './certificate.ts';
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

/** A reverse proxy with TLS on 127.0.0.1, as docs/CLOUD.md has it. @param to port of the cloud, plain HTTP */
export async function startNginx(to: number): Promise<Between> {
  const [dir, port, { key, cert }] = [tempDir(), await freePort(), selfSigned()];
  writeFileSync(join(dir, 'key.pem'), key);
  writeFileSync(join(dir, 'cert.pem'), cert);
  const file = join(dir, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${dir}/pid; error_log stderr;
events { worker_connections 256; }
http {
  access_log /dev/stdout;
  ${temporary.map((name) => `${name}_temp_path ${dir}/${name};`).join(' ')}
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${dir}/cert.pem;
    ssl_certificate_key ${dir}/key.pem;
    location / {
      proxy_pass http://127.0.0.1:${to};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $http_connection;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 120s;
    }
  }
}
`,
  );
  const nginx = spawnKept(toolPath('nginx') ?? 'nginx', ['-c', file, '-e', 'stderr', '-p', dir]);
  return await between(nginx, port, `https://127.0.0.1:${port}`);
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
