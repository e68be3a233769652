import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { commits, sealer } from '../../mesh/envelope.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { combineShares, type HeldShare, shareBytes, splitKey } from '../../mesh/shares.ts';

const job = '6f1c0a52-7d3e-4b8f-a1c2-d3e4f5a6b7c8';
const key = new Uint8Array(32).map((_, i) => 255 - i);
const { header } = sealer(key, job);
const committed = (candidate: Uint8Array) => commits(candidate, job, header);

const names = ['pc-1', 'pc-2', 'pc-3'];
async function held(): Promise<HeldShare[]> {
  return (await splitKey(key)).map((share, i) => ({ holder: names[i]!, share }));
}
const broken = (shares: HeldShare[], i: number, at: number, to?: number): HeldShare[] =>
  shares.with(i, { ...shares[i]!, share: shares[i]!.share.with(at, to ?? shares[i]!.share[at]! ^ 1) });

async function refusal(shares: HeldShare[]): Promise<InkmeshError> {
  try {
    await combineShares(shares, committed);
  } catch (error) {
    if (error instanceof InkmeshError) return error;
    throw error;
  }
  throw new Error('a key came out');
}

test('any two shares give the key, in any order, and a third agrees', async () => {
  const shares = await held();
  for (const { share } of shares) assert.is(share.length, shareBytes);
  for (const order of [[0, 1], [1, 0], [0, 2], [2, 1], [0, 1, 2], [2, 0, 1]]) {
    const result = await combineShares(order.map((i) => shares[i]!), committed);
    assert.equal(result, { key, corrupt: [] });
  }
});

test('shares are fresh at every split, and a Buffer is as good as any key', async () => {
  const [a] = await splitKey(key);
  const [b] = await splitKey(Buffer.from(key));
  assert.not.equal(a, b);
  assert.equal(key, new Uint8Array(32).map((_, i) => 255 - i));
});

test('with three shares, whichever is wrong is named', async () => {
  const shares = await held();
  for (const i of [0, 1, 2]) {
    for (const at of [0, 17, 31]) {
      const result = await combineShares(broken(shares, i, at), committed);
      assert.equal(result, { key, corrupt: [names[i]] });
    }
  }
});

test('a share with another x-coordinate, a taken one, or zero is wrong', async () => {
  const shares = await held();
  for (const i of [0, 1, 2]) {
    const taken = shares[(i + 1) % 3]!.share[32]!;
    const unused = [1, 2, 3, 4].find((x) => shares.every(({ share }) => share[32] !== x))!;
    for (const x of [taken, 0, unused]) {
      assert.equal((await combineShares(broken(shares, i, 32, x), committed)).corrupt, [names[i]], `x ${x}`);
    }
  }
});

test('a share of another length is wrong', async () => {
  const shares = await held();
  for (const share of [new Uint8Array(0), new Uint8Array(32).fill(1), new Uint8Array(34).fill(1)]) {
    const result = await combineShares(shares.with(1, { holder: 'pc-2', share }), committed);
    assert.equal(result, { key, corrupt: ['pc-2'] });
  }
});

test('the same share from two holders still gives the key, with the third', async () => {
  const shares = await held();
  const twice = shares.with(2, { holder: 'pc-3', share: shares[0]!.share });
  assert.equal(await combineShares(twice, committed), { key, corrupt: [] });
  const error = await refusal([twice[0]!, twice[2]!]);
  assert.is(error.code, 'corrupt');
});

test('two shares of which one is wrong, or three of which two are, give nothing', async () => {
  const shares = await held();
  const two = await refusal(broken(shares, 0, 5).slice(0, 2));
  assert.is(two.code, 'corrupt');
  assert.is(two.about.holders, 'pc-1,pc-2');
  const three = await refusal(broken(broken(shares, 0, 5), 2, 6));
  assert.is(three.about.holders, 'pc-1,pc-2,pc-3');
  const other = await held();
  assert.is((await refusal([shares[0]!, other[1]!])).code, 'corrupt');
});

test('candidates that are not the key are wiped', async () => {
  const seen: Uint8Array[] = [];
  const shares = broken(await held(), 0, 5);
  await combineShares(shares, (candidate) => {
    seen.push(candidate);
    return Promise.resolve(committed(candidate));
  });
  const kept = seen.filter((candidate) => candidate.some((octet) => octet !== 0));
  assert.equal(kept, [key]);
});

test('another number of shares, or one holder twice, is misuse', async () => {
  const shares = await held();
  for (const wrong of [[], shares.slice(1, 2), [...shares, shares[0]!], [shares[0]!, shares[0]!]]) {
    const error = await combineShares(wrong, committed).then(() => undefined, (e) => e);
    assert.instance(error, RangeError);
  }
  const error = await splitKey(new Uint8Array(31)).then(() => undefined, (e) => e);
  assert.instance(error, TypeError);
});

test.run();
