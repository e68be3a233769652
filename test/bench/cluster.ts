/** An organisation of real node processes that a benchmark can order about. */
import { request } from 'node:http';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { type Organisation, type OrganisationNode, startOrganisation } from '../e2e/organisation.ts';

const late_ms = 60_000;

export interface Cluster {
  readonly organisation: Organisation;
  /** Has a node do something, see `orders` in node.ts. @throws Error with what went wrong there */
  order<T = unknown>(node: string, name: string, order?: object): Promise<{ took_ms: number; result: T }>;
  /** a port that the node has for benchmarks, or one of its own */
  port(node: string, name: 'copies' | 'control' | 'mesh'): number;
  stop(): Promise<void>;
}

export async function startCluster(count: number): Promise<Cluster> {
  const organisation = await startOrganisation({ nodes: count });
  try {
    for (const { name } of organisation.nodes) await organisation.restart(name, { wrapper: benchNode() });
    await organisation.connected();
  } catch (error) {
    await organisation.stop();
    throw error;
  }
  const port: Cluster['port'] = (node, name) => {
    const { ports } = organisation.node(node) as {
      ports: OrganisationNode['ports'] & Record<string, number>;
    };
    const value = ports[name];
    if (value === undefined) throw new RangeError(`${node} is no node of a benchmark`);
    return value;
  };
  return {
    organisation,
    port,
    order: async <T>(node: string, name: string, order: object = {}) =>
      JSON.parse(await post(port(node, 'control'), name, order)) as { took_ms: number; result: T },
    stop: () => organisation.stop(),
  };
}

function benchNode(): string[] {
  const file = fileURLToPath(new URL('./node.ts', import.meta.url));
  const flags = process.versions['deno'] === undefined
    ? ['--expose-gc']
    : ['run', '--allow-all', '--v8-flags=--expose-gc'];
  return [process.execPath, ...flags, file];
}

function post(port: number, name: string, order: object): Promise<string> {
  return new Promise((resolve, reject) => {
    const where = { host: '127.0.0.1', port, path: `/${name}`, method: 'POST', timeout: late_ms };
    const sent = request(where, async (answer) => {
      let content = '';
      for await (const part of answer.setEncoding('utf8')) content += String(part);
      if (answer.statusCode === 200) resolve(content);
      else reject(new Error(`${name}: ${content}`));
    });
    sent.on('timeout', () => sent.destroy(new Error(`${name} takes too long`)));
    sent.on('error', reject);
    sent.end(JSON.stringify(order));
  });
}
