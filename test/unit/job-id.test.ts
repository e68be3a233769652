import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { isJobIdOf, jobIdFor, newJobId } from '../../mesh/job-id.ts';
import { jobId } from '../../mesh/names.ts';
import { fakePeer } from '../fakes/organisation.ts';

const [author, other] = [fakePeer('A'), fakePeer('B')];

test('a job id is a UUID of version 8, and a fresh one every time', () => {
  const ids = Array.from({ length: 200 }, () => newJobId(author));
  for (const id of ids) assert.ok(v.is(jobId, id), id);
  assert.is(new Set(ids).size, ids.length);
});

test('a job id is that of its author, and of nobody else', () => {
  for (let i = 0; i < 50; i++) {
    const id = newJobId(author);
    assert.ok(isJobIdOf(id, author));
    assert.not(isJobIdOf(id, other));
  }
});

test('no other id is anybody’s: every digit counts', () => {
  const id = newJobId(author);
  for (const [at, digit] of [...id].entries()) {
    if (digit === '-') continue;
    const changed = id.slice(0, at) + (digit === '0' ? '1' : '0') + id.slice(at + 1);
    assert.not(isJobIdOf(changed, author), changed);
  }
  const wrong = [crypto.randomUUID(), '', id.toUpperCase(), id.replaceAll('-', ''), `${id}0`, `${id}\n`];
  for (const text of wrong) assert.not(isJobIdOf(text, author), text);
});

test('one id of a known author, so that another implementation gets the same', () => {
  // SHA-256("inkmesh job" | author | 0011223344558077), in hexadecimal, begins with the second half but for its variant
  assert.ok(isJobIdOf('00112233-4455-8077-8bb6-7d0dcedc93c8', author));
});

test('a submission gives each node an id of its own, the same every time', () => {
  const submission = '11111111-2222-4333-8444-555555555555';
  const id = jobIdFor(author, 'ada', submission);
  assert.ok(v.is(jobId, id), id);
  assert.ok(isJobIdOf(id, author));
  assert.is(jobIdFor(author, 'ada', submission), id);
  const others = [
    jobIdFor(author, 'eve', submission),
    jobIdFor(author, 'ada', crypto.randomUUID()),
    jobIdFor(other, 'ada', submission),
  ];
  assert.is(new Set([id, ...others]).size, 4);
  // SHA-256("inkmesh submission" | submission | "ada"), so that another implementation gets the same
  assert.is(id.slice(0, 18), 'd8328fd1-40f9-8915');
});

test.run();
