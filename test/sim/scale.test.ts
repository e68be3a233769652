/** A site of many nodes; `deno task sim:scale` does the same with a thousand. */
import './crypto.ts';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { presenceKind } from '../../mesh/roster.ts';
import { burst, heal, measure } from './scale.ts';
import { ScaleSite } from './scale-site.ts';

const seed = 1;
const nodes = 150;
const facts = 60;
const KiB = 1024;

test(`${nodes} nodes of a site have news within 2 s, at little more than the octets of the news (seed ${seed})`, async () => {
  const site = await ScaleSite.open(seed, nodes);
  await measure(site, 15_000);
  for (const { mesh, peer } of site.nodes) {
    const stated = mesh.ledger.about(presenceKind.name, peer).length;
    assert.is(stated, 1, `${mesh.nameOf(peer)} says again where it is, which all know`);
  }
  const idle = await measure(site, 30_000);
  assert.ok(idle.sent < 30 * KiB, `a node sends ${idle.sent} octets in 30 s in which nothing happens`);
  const news = await burst(site, facts, 4000, 8000);
  assert.is(news.incomplete, 0, 'facts that did not reach every node');
  assert.ok(news.slowest_ms <= 2000, `a fact took ${news.slowest_ms} ms to 99 % of the nodes`);
  const most = 3 * facts * news.factBytes + 8 * KiB;
  assert.ok(news.sent <= most, `a node sends ${news.sent} octets for ${facts * news.factBytes} of facts`);
  assert.ok(news.connections.most < 16, `a node has ${news.connections.most} connections`);
  const healed = await heal(site, 10, 60_000);
  assert.ok(healed.all_ms <= 60_000, `halves are one again after ${healed.all_ms} ms`);
  await site.close();
});

test.run();
