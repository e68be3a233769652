/** What IPP clients are told unasked: events, and the page of the printer. */
import { inflateSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as ipp from '../../src/ipp/message.ts';
import { type Attribute, attributesOf, firstNumber, stringsOf } from '../../src/ipp/message.ts';
import { groups, statuses } from '../../src/ipp/registry.ts';
import { subscriptionLimits } from '../../src/limits.ts';
import { type Answer, client, head, jobOf, pdf, target } from '../fakes/ipp-client.ts';

type Client = ReturnType<typeof client>;
const idOf = (answer: Answer) => firstNumber(jobOf(answer), 'job-id') ?? 0;
const groupsOf = (answer: Answer, name: keyof typeof groups) =>
  answer.groups.filter(({ tag }) => tag === groups[name]).map(({ attributes }) => attributes);
const subscriptionGroup = (...attributes: Attribute[]) => ({
  tag: groups['subscription-attributes-tag'],
  attributes,
});

async function print({ ask }: Client, ...more: Attribute[]): Promise<number> {
  return idOf(await ask('Print-Job', { operation: [...head, target, ...more], document: pdf }));
}

test('events of jobs are fetched by who has subscribed to them', async () => {
  const one = client();
  const { ask, door } = one;
  const before = await print(one);
  const wanted = [
    ipp.keyword('notify-pull-method', 'ippget'),
    ipp.keyword('notify-events', 'job-created', 'job-completed'),
    ipp.attribute('notify-user-data', { syntax: 'octetString', value: pdf }),
  ];
  const push = [ipp.uri('notify-recipient-uri', 'mailto:ada@example.org')];
  const made = await ask('Create-Printer-Subscriptions', {
    further: [subscriptionGroup(...wanted), subscriptionGroup(...push)],
  });
  assert.is(made.status, 'successful-ok-ignored-subscriptions');
  const [good = [], refused = []] = groupsOf(made, 'subscription-attributes-tag');
  assert.is(firstNumber(refused, 'notify-status-code'), 0x040c);
  const subscription = firstNumber(good, 'notify-subscription-id') ?? 0;
  assert.is(firstNumber(good, 'notify-lease-duration'), subscriptionLimits.leaseDefault_s);

  const fetch = (from = 1) =>
    ask('Get-Notifications', {
      operation: [
        ...head,
        target,
        ipp.integer('notify-subscription-ids', subscription),
        ipp.integer('notify-sequence-numbers', from),
      ],
    });
  const told = async (from?: number) =>
    groupsOf(await fetch(from), 'event-notification-attributes-tag').map((event) => [
      firstNumber(event, 'notify-sequence-number'),
      stringsOf(event, 'notify-subscribed-event')[0],
      firstNumber(event, 'job-id'),
    ]);
  assert.equal(await told(), []);
  const id = await print(one);
  assert.equal(await told(), [[1, 'job-created', id]]);
  for (const job of door.submitted) job.state = 'printed';
  const ended = [[2, 'job-completed', before], [3, 'job-completed', id]];
  assert.equal(await told(2), ended);
  assert.equal(await told(), [[1, 'job-created', id], ...ended]);
  const [event = []] = groupsOf(await fetch(3), 'event-notification-attributes-tag');
  assert.is(firstNumber(event, 'job-state'), 9);
  assert.equal(event.find(({ name }) => name === 'notify-user-data')?.values, [{
    syntax: 'octetString',
    value: pdf,
  }]);
});

test('subscriptions are listed, renewed, cancelled and bounded', async () => {
  const { ask } = client();
  const group = subscriptionGroup(ipp.keyword('notify-pull-method', 'ippget'));
  const many = Array.from({ length: subscriptionLimits.maxPerToken }, () => group);
  const made = await ask('Create-Printer-Subscriptions', { further: many });
  assert.is(made.status, 'successful-ok');
  const full = await ask('Create-Printer-Subscriptions', { further: [group] });
  assert.is(full.status, 'client-error-ignored-all-subscriptions');
  const [refused = []] = groupsOf(full, 'subscription-attributes-tag');
  assert.is(firstNumber(refused, 'notify-status-code'), statuses['client-error-too-many-subscriptions']);
  const list = groupsOf(await ask('Get-Subscriptions'), 'subscription-attributes-tag');
  assert.is(list.length, many.length);
  const id = firstNumber(list[0] ?? [], 'notify-subscription-id') ?? 0;
  const of = (...more: Attribute[]) => [...head, target, ipp.integer('notify-subscription-id', id), ...more];
  const renewed = await ask('Renew-Subscription', { operation: of(ipp.integer('notify-lease-duration', 0)) });
  const [lease = []] = groupsOf(renewed, 'subscription-attributes-tag');
  assert.is(firstNumber(lease, 'notify-lease-duration'), subscriptionLimits.leaseMax_s);
  const twice = ipp.integer('notify-subscription-ids', id, id);
  const repeated = await ask('Get-Notifications', { operation: [...head, target, twice] });
  assert.is(repeated.status, 'client-error-bad-request');
  const shown = await ask('Get-Subscription-Attributes', { operation: of() });
  assert.equal(stringsOf(groupsOf(shown, 'subscription-attributes-tag')[0] ?? [], 'notify-events'), [
    'job-completed',
  ]);
  assert.is((await ask('Cancel-Subscription', { operation: of() })).status, 'successful-ok');
  assert.is((await ask('Cancel-Subscription', { operation: of() })).status, 'client-error-not-found');
  assert.is((await ask('Create-Printer-Subscriptions', { further: [group] })).status, 'successful-ok');
  const none = await ask('Create-Printer-Subscriptions', { further: [subscriptionGroup()] });
  assert.is(none.status, 'client-error-ignored-all-subscriptions');
});

test('the page of the printer says what a held job looks like, and no address of anybody', async () => {
  const { get, ask } = client();
  const answer = await ask('Get-Printer-Attributes');
  const attributes = attributesOf(answer, groups['printer-attributes-tag']);
  const uris = ['printer-more-info', 'printer-supply-info-uri', 'printer-icons'].flatMap((name) => {
    const found = stringsOf(attributes, name);
    assert.ok(found.length > 0, name);
    return found;
  });
  for (const uri of uris) {
    assert.ok(uri.startsWith('https://print.example:9265/'), uri);
    assert.not(uri.includes('tok-'));
    const { pathname } = new URL(uri);
    const response = await get(pathname);
    assert.is(response.status, 200, uri);
    if (pathname === '/') {
      assert.match(response.headers.get('content-type') ?? '', 'text/html');
      const page = await response.text();
      assert.match(page, 'Office');
      assert.match(page, 'held');
    } else assertIcon(new Uint8Array(await response.arrayBuffer()), Number(/\d+/.exec(pathname)?.[0]));
  }
  assert.is((await get(new URL('/ipp/print/anything', uris[0]).pathname)).status, 200);
});

function assertIcon(png: Uint8Array, size: number): void {
  const bytes = Buffer.from(png);
  assert.is(bytes.toString('latin1', 1, 4), 'PNG');
  assert.equal([bytes.readUInt32BE(16), bytes.readUInt32BE(20)], [size, size]);
  const at = bytes.indexOf('IDAT');
  const pixels = inflateSync(bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at - 4)));
  assert.is(pixels.length, (1 + size * 4) * size);
}

test.run();
