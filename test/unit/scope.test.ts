/** Which nodes may talk, directly and through a relay, for every pair of sites and toggles. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Role } from '../../mesh/names.ts';
import { defaultPolicy, type SitePolicy } from '../../mesh/policy.ts';
import { scopeRefusal } from '../../mesh/scope.ts';

const node = (site: string, ...roles: Role[]) => ({ site, roles });
const policies = (of: Record<string, Partial<SitePolicy>>) => (site: string): SitePolicy => ({
  ...defaultPolicy,
  ...of[site],
});
const may = (
  one: ReturnType<typeof node>,
  other: ReturnType<typeof node>,
  relayed: boolean,
  of: Record<string, Partial<SitePolicy>> = {},
) => {
  const [there, back] = [[one, other], [other, one]].map(([a, b]) =>
    scopeRefusal(a as typeof one, b as typeof one, relayed, policies(of))
  );
  assert.is(there === undefined, back === undefined, 'the rule is the same from both ends');
  return there === undefined;
};

test('nodes of one site always may', () => {
  for (const relayed of [false, true]) {
    assert.ok(may(node('a'), node('a'), relayed));
    assert.ok(may(node('a'), node('a'), relayed, { a: { mesh: 'site' } }));
  }
});

test('nodes of two sites may talk directly while neither is closed', () => {
  assert.ok(may(node('a'), node('b'), false));
  assert.not.ok(may(node('a'), node('b'), false, { a: { mesh: 'site' } }));
  assert.not.ok(may(node('a'), node('b'), false, { a: { mesh: 'site' }, b: { mesh: 'site' } }));
  assert.not.ok(may(node('a'), node('b'), false, { a: { mesh: 'site', relay: true }, b: { relay: true } }));
});

test('through a relay they may when both sites have it on, closed or not', () => {
  assert.not.ok(may(node('a'), node('b'), true));
  assert.not.ok(may(node('a'), node('b'), true, { a: { relay: true } }));
  const on = { a: { relay: true }, b: { relay: true } };
  assert.ok(may(node('a'), node('b'), true, on));
  assert.ok(may(node('a'), node('b'), true, { ...on, a: { relay: true, mesh: 'site' } }));
});

test('a relay is talked to directly by the sites that use it', () => {
  const relay = node('hub', 'relay');
  assert.ok(may(node('a'), relay, false, { a: { mesh: 'site', relay: true } }));
  assert.not.ok(may(node('a'), relay, false, { a: { mesh: 'site' } }));
  assert.ok(may(node('a'), relay, false), 'and as any other node while nothing is closed');
  assert.ok(may(node('x', 'relay'), relay, false, { x: { mesh: 'site' }, hub: { mesh: 'site' } }));
});

test('a cloud is talked to directly by every site, as facts go by it, and passes nothing by that', () => {
  const cloud = node('sky', 'cloud', 'relay');
  assert.ok(may(node('a'), cloud, false, { a: { mesh: 'site' } }));
  assert.ok(may(cloud, node('a'), false, { a: { mesh: 'site' } }));
  assert.not.ok(may(node('a'), node('b'), true, { a: { relay: true } }));
});

test('a refusal names the site whose operator can change it', () => {
  const reason = scopeRefusal(node('a'), node('b'), true, policies({ a: { relay: true } }));
  assert.match(reason ?? '', /relay is off for site b/);
});

test.run();
