/** What Prometheus asks a cloud node for. */
import type { Hono } from 'hono';
import { timingSafeEqual } from 'node:crypto';
import { Gauge, Registry } from 'prom-client';

/** A number, or one for each value of a label. */
export interface Measure {
  name: string;
  help: string;
  /** the label's name, where there is one number for each of its values */
  label?: string;
  /** now; without a label under the empty string */
  read(): ReadonlyMap<string, number>;
}

/** `/metrics` for who has the token; without a token there is no such page. */
export function metricsRoute(app: Hono, token: string | undefined, measures: readonly Measure[]): void {
  if (token === undefined) return;
  const registry = new Registry();
  for (const { name, help, label, read } of measures) {
    registry.registerMetric(
      new Gauge({
        ...{ name: `inkmesh_${name}`, help, labelNames: label === undefined ? [] : [label], registers: [] },
        collect() {
          this.reset();
          for (const [value, count] of read()) {
            if (label === undefined) this.set(count);
            else this.set({ [label]: value }, count);
          }
        },
      }),
    );
  }
  const expected = Buffer.from(`Bearer ${token}`);
  app.get('/metrics', async (c) => {
    const given = Buffer.from(c.req.header('authorization') ?? '');
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      return c.text('this needs the token of the configuration\n', 401, { 'www-authenticate': 'Bearer' });
    }
    return c.body(await registry.metrics(), 200, { 'content-type': registry.contentType });
  });
}
