/** Signed requests that come by another node, as a browser may ask nobody but the node that serves its page. */
import { InkmeshError } from '../../mesh/errors.ts';
import type { Answers, PassedRequest } from '../../mesh/mod.ts';

/** What only administrators ask, of a registrar. */
const operators = /^\/v1\/(?:sites\/[a-z0-9-]{1,63}|printers(?:\/[a-z0-9-]{1,63}\/remove)?)$/;

/** Whether a request is an administrator's to a registrar. */
export const isOperators = (path: string): boolean => operators.test(path);

/** What nodes do for who asks by another one: a user's jobs, an operator's decisions, and the cloud's directory. */
const passable: readonly { method: PassedRequest['method']; path: RegExp }[] = [
  { method: 'POST', path: /^\/v1\/jobs\/[0-9a-f-]{36}\/(?:release|cancel)$/ },
  { method: 'POST', path: operators },
  { method: 'GET', path: /^\/v1\/directory\/[\w/?=&.:%-]{1,512}$/ },
];

/** @throws InkmeshError `forbidden` for a request that is not passed on */
export function refuseUnpassable(request: Pick<PassedRequest, 'path'> & { method: string }): void {
  const isKnown = passable.some(({ method, path }) => method === request.method && path.test(request.path));
  if (isKnown && isPlain(request.path)) return;
  throw new InkmeshError('forbidden', 'this is asked of the node itself, not by another one');
}

/** Whether a path is what it leads to: `..` and the like lead elsewhere (WHATWG URL section 4.4). */
function isPlain(path: string): boolean {
  const { pathname, search } = new URL(path, 'https://localhost');
  return pathname + search === path;
}

/** @param api which checks the signature as of any request */
export function answersOf(
  api: { fetch(request: Request, env?: unknown): Response | Promise<Response> },
): Answers {
  return async ({ method, path, authorization, body }, from) => {
    refuseUnpassable({ method, path });
    const headers: Record<string, string> = { authorization: `Inkmesh ${authorization}` };
    if (method === 'POST') {
      Object.assign(headers, { 'content-type': 'application/json', 'content-length': String(body.length) });
    }
    const init = { method, headers, ...(method === 'POST' ? { body: new Uint8Array(body) } : {}) };
    // whoever passes on many that are refused is limited as an address is, apart from all others
    const env = { incoming: { socket: { remoteAddress: from } } };
    const response = await api.fetch(new Request(`https://localhost${path}`, init), env);
    return {
      status: response.status,
      type: response.headers.get('content-type') ?? 'application/json',
      body: response.body ?? nothing(),
    };
  };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
