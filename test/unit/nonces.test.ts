import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Nonces } from '../../src/api/nonces.ts';

const limits = { maxNonces: 6, maxNoncesPerDevice: 3, nonceLife_ms: 1000 };

test('a request counts once, and one device cannot take the room of the others', () => {
  const nonces = new Nonces(limits);
  for (const nonce of ['a', 'b', 'c']) assert.is(nonces.first(nonce, 'greedy', 0), true);
  assert.is(nonces.first('b', 'greedy', 1), false);
  assert.is(nonces.first('b', 'other', 1), false);
  assert.throws(() => nonces.first('d', 'greedy', 1), 'too many requests');
  assert.is(nonces.first('d', 'other', 1), true);
});

test('what is old is forgotten, and makes room', () => {
  const nonces = new Nonces(limits);
  for (const nonce of ['a', 'b', 'c']) nonces.first(nonce, 'one', 0);
  for (const nonce of ['d', 'e', 'f']) nonces.first(nonce, 'two', 500);
  assert.throws(() => nonces.first('g', 'three', 600), 'too many requests');
  assert.is(nonces.first('g', 'three', 1000), true);
  assert.is(nonces.first('h', 'one', 1000), true);
  assert.throws(() => nonces.first('i', 'two', 1000), 'too many requests');
});

test.run();
