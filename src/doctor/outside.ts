/** The way out of the site: the proxy of the environment, and the organisation's cloud node. */
import { request } from 'node:http';
import { getProxyForUrl } from 'proxy-from-env';
import { canConnect } from '../printers/subnet.ts';
import { fail, type Finding, ok, warn } from './finding.ts';

const patience_ms = 10_000;

/** @param cloud URL of the organisation's cloud node, undefined where there is none */
export async function outside(cloud: string | undefined): Promise<Finding[]> {
  const url = new URL(cloud ?? 'https://example.invalid');
  const proxy = getProxyForUrl(url.href);
  const way = await proxyFinding(proxy);
  return [await cloudFinding(cloud === undefined ? undefined : url, proxy, way), way];
}

async function proxyFinding(proxy: string): Promise<Finding> {
  if (proxy === '') return ok('proxy', 'none is set');
  const fix = 'set HTTPS_PROXY to http://HOST:PORT of a proxy that answers, or unset it';
  if (!URL.canParse(proxy) || new URL(proxy).protocol !== 'http:') {
    return fail('proxy', 'HTTPS_PROXY does not name an http: proxy', fix);
  }
  const { hostname, port, host } = new URL(proxy);
  const answers = await canConnect(hostname.replace(/^\[|\]$/g, ''), Number(port || 80));
  return answers
    ? ok('proxy', `${host} answers`)
    : fail('proxy', `${host} (HTTPS_PROXY) does not answer`, fix);
}

async function cloudFinding(url: URL | undefined, proxy: string, way: Finding): Promise<Finding> {
  if (url === undefined) return ok('cloud', 'none is configured');
  const port = Number(url.port || 443);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (proxy === '') {
    if (await canConnect(host, port)) return ok('cloud', `${url.host} answers`);
    const fix = `allow TCP to ${host}:${port}, or set HTTPS_PROXY; the sites go on without it`;
    return warn('cloud', `${url.host} does not answer`, fix);
  }
  if (way.level !== 'ok') {
    return warn('cloud', `${url.host} is not reached: the proxy is at fault`, way.fix ?? '');
  }
  const status = await passes(new URL(proxy), `${url.hostname}:${port}`);
  if (status === 200) return ok('cloud', `${url.host} answers, through the proxy`);
  const fix = `have the proxy allow CONNECT to ${host}:${port}, or list ${host} in NO_PROXY`;
  return warn('cloud', `the proxy does not lead to ${url.host} (status ${status ?? 'none'})`, fix);
}

/** @returns the status of a CONNECT (RFC 9110 section 9.3.6), undefined without an answer */
function passes(proxy: URL, authority: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const { username, password } = proxy;
    const auth = username === ''
      ? {}
      : { auth: `${decodeURIComponent(username)}:${decodeURIComponent(password)}` };
    const asked = request({
      ...{ host: proxy.hostname, port: proxy.port || 80, method: 'CONNECT', path: authority, ...auth },
      timeout: patience_ms,
    });
    asked.once('connect', ({ statusCode }, socket) => {
      socket.destroy();
      resolve(statusCode);
    });
    asked.once('response', ({ statusCode }) => resolve(statusCode));
    asked.once('timeout', () => asked.destroy()).once('error', () => resolve(undefined)).end();
  });
}
