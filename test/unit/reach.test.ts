import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Candidate, deliverers } from '../../src/printers/reach.ts';

const node = (
  peer: string,
  site: string,
  here: boolean,
  reaches?: boolean,
): Candidate & { peer: string } => ({
  ...{ peer, site, here, reaches },
});
const order = (...nodes: ReturnType<typeof node>[]) =>
  deliverers(nodes, 'a').map(({ peer }) => peer).join(' ');

test('who reaches the printer delivers, the node that was asked if it does', () => {
  assert.is(order(node('self', 'a', true, true), node('other', 'a', false, true)), 'self other');
  assert.is(order(node('other', 'a', false, true), node('self', 'a', true, true)), 'self other');
  assert.is(order(node('self', 'a', true, false), node('other', 'a', false, true)), 'other');
});

test('who may reach it comes after who does, and those of its site before others', () => {
  assert.is(order(node('self', 'a', true), node('other', 'a', false, true)), 'other self');
  assert.is(
    order(node('self', 'b', true), node('mate', 'a', false), node('far', 'b', false)),
    'mate self far',
  );
  assert.is(order(node('self', 'a', true), node('mate', 'a', false)), 'self mate');
  assert.is(order(node('self', 'a', true, false), node('mate', 'a', false, false)), '');
});

test.run();
