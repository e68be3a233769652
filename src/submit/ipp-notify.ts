/** The operations on event subscriptions (RFC 3995 section 11, RFC 3996 section 5). */
import { InkmeshError } from '../../mesh/errors.ts';
import * as ipp from '../ipp/message.ts';
import { type Attribute, find, firstNumber, type Group, numberOf, stringsOf } from '../ipp/message.ts';
import { groups, statuses, type StatusName } from '../ipp/registry.ts';
import { jobNumber } from '../job.ts';
import { subscriptionLimits } from '../limits.ts';
import { type Call, jobsOf, requirePrinter } from './ipp-call.ts';
import { shownOf, stateOf } from './ipp-jobs.ts';
import { booleanValue, integerValue, refusal, type Reply, requestedNames } from './ipp-request.ts';
import {
  type Event,
  type EventName,
  events,
  look,
  type Subscription,
  type Wanted,
} from './ipp-subscriptions.ts';

const seconds = () => Math.floor(Date.now() / 1000);

export async function createPrinterSubscriptions(call: Call): Promise<Reply> {
  requirePrinter(call);
  const asked = call.message.groups.filter(({ tag }) => tag === groups['subscription-attributes-tag']);
  if (asked.length === 0) {
    throw refusal('client-error-bad-request', 'there is no subscription in the request');
  }
  const jobs = await jobsOf(call);
  let made = 0;
  const answers = asked.map(({ attributes }): Attribute[] => {
    const wanted = wantedOf(attributes);
    if (typeof wanted === 'string') return [ipp.enumeration('notify-status-code', statuses[wanted])];
    const subscription = call.subscriptions.add(call.token, wanted, jobs);
    if (subscription === undefined) {
      return [ipp.enumeration('notify-status-code', statuses['client-error-too-many-subscriptions'])];
    }
    const { id, lease_s } = subscription;
    made++;
    return [ipp.integer('notify-subscription-id', id), ipp.integer('notify-lease-duration', lease_s)];
  });
  const status = made === asked.length
    ? 'successful-ok'
    : made > 0
    ? 'successful-ok-ignored-subscriptions'
    : 'client-error-ignored-all-subscriptions';
  return {
    status,
    groups: answers.map((attributes) => ({ tag: groups['subscription-attributes-tag'], attributes })),
  };
}

/** What a group asks for, or why it cannot be had: events are fetched, never sent. */
function wantedOf(attributes: readonly Attribute[]): Wanted | StatusName {
  if (find(attributes, 'notify-recipient-uri') !== undefined) return 'client-error-uri-scheme-not-supported';
  const [method] = stringsOf(attributes, 'notify-pull-method');
  const asked = find(attributes, 'notify-events') === undefined
    ? ['job-completed']
    : stringsOf(attributes, 'notify-events');
  const known = events.filter((name): name is EventName => asked.includes(name));
  const data = find(attributes, 'notify-user-data')?.values[0];
  const userData = data?.syntax === 'octetString' ? data.value : undefined;
  if (
    method !== 'ippget' || known.length === 0 || (userData?.length ?? 0) > subscriptionLimits.maxUserDataBytes
  ) return 'client-error-attributes-or-values-not-supported';
  return { events: known, userData, lease_s: leaseOf(firstNumber(attributes, 'notify-lease-duration')) };
}

/** 0 asks for one that never ends: it gets the longest (RFC 3995 section 5.3.8). */
function leaseOf(asked: number | undefined): number {
  const { leaseDefault_s, leaseMax_s } = subscriptionLimits;
  if (asked === 0) return leaseMax_s;
  return asked === undefined || asked < 0 ? leaseDefault_s : Math.min(asked, leaseMax_s);
}

export function getSubscriptionAttributes(call: Call): Reply {
  const subscription = target(call);
  return { status: 'successful-ok', groups: [subscriptionGroup(call, subscription, ['all'])] };
}

/** Those of the printer: none is of one job. */
export function getSubscriptions(call: Call): Reply {
  requirePrinter(call);
  booleanValue(call.operation, 'my-subscriptions');
  const own = find(call.operation, 'notify-job-id') === undefined ? call.subscriptions.of(call.token) : [];
  const limit = integerValue(call.operation, 'limit', 1) ?? own.length;
  return {
    status: 'successful-ok',
    groups: own.slice(0, limit).map((one) => subscriptionGroup(call, one, ['notify-subscription-id'])),
  };
}

export function renewSubscription(call: Call): Reply {
  const subscription = target(call);
  const lease_s = leaseOf(integerValue(call.operation, 'notify-lease-duration', 0));
  subscription.ends_ms = performance.now() + lease_s * 1000;
  const attributes = [ipp.integer('notify-lease-duration', lease_s)];
  return { status: 'successful-ok', groups: [{ tag: groups['subscription-attributes-tag'], attributes }] };
}

export function cancelSubscription(call: Call): Reply {
  call.subscriptions.remove(target(call));
  return { status: 'successful-ok' };
}

/** @throws InkmeshError */
function target(call: Call): Subscription {
  requirePrinter(call);
  const id = integerValue(call.operation, 'notify-subscription-id', 1);
  if (id === undefined) throw refusal('client-error-bad-request', 'notify-subscription-id is missing');
  return known(call, id);
}

function known(call: Call, id: number | undefined): Subscription {
  const found = call.subscriptions.of(call.token).find((subscription) => subscription.id === id);
  if (found !== undefined) return found;
  throw new InkmeshError(
    'not-found',
    'there is no such subscription: it has ended, or the node was started again',
  );
}

function subscriptionGroup(call: Call, subscription: Subscription, without: readonly string[]): Group {
  const asked = requestedNames(call.operation);
  const requested = asked.length === 0 ? without : asked;
  const { id, events: subscribed, lease_s, ends_ms, sequence, userData } = subscription;
  const left_s = Math.max(Math.ceil((ends_ms - performance.now()) / 1000), 0);
  const attributes = [
    ipp.integer('notify-subscription-id', id),
    ipp.keyword('notify-events', ...subscribed),
    ipp.keyword('notify-pull-method', 'ippget'),
    ipp.charset('notify-charset', 'utf-8'),
    ipp.naturalLanguage('notify-natural-language', 'en'),
    ipp.integer('notify-lease-duration', lease_s),
    ipp.integer('notify-lease-expiration-time', seconds() + left_s),
    ipp.integer('notify-sequence-number', sequence),
    ipp.uri('notify-printer-uri', call.printerUri),
    ipp.integer('notify-printer-up-time', seconds()),
    ipp.nameAttribute('notify-subscriber-user-name', ipp.withinOctets(call.user, 255)),
    ...userDataOf(userData),
  ];
  const all = ['all', 'subscription-template', 'subscription-description'].some((name) =>
    requested.includes(name)
  );
  return {
    tag: groups['subscription-attributes-tag'],
    attributes: all ? attributes : attributes.filter(({ name }) => requested.includes(name)),
  };
}

const userDataOf = (value: Uint8Array | undefined) =>
  value === undefined ? [] : [ipp.attribute('notify-user-data', { syntax: 'octetString', value })];

/** notify-wait is not honoured: clients ask again after notify-get-interval (RFC 3996 section 5.2.1). */
export async function getNotifications(call: Call): Promise<Reply> {
  requirePrinter(call);
  booleanValue(call.operation, 'notify-wait');
  const ids = find(call.operation, 'notify-subscription-ids')?.values.map(numberOf) ?? [];
  if (ids.length === 0) throw refusal('client-error-bad-request', 'notify-subscription-ids is missing');
  if (new Set(ids).size < ids.length) {
    throw refusal('client-error-bad-request', 'a subscription is there twice');
  }
  const from = find(call.operation, 'notify-sequence-numbers')?.values.map(numberOf) ?? [];
  const asked = ids.map((id, at) => ({ subscription: known(call, id), least: from[at] ?? 1 }));
  const jobs = await jobsOf(call);
  const told = asked.flatMap(({ subscription, least }) => {
    look(subscription, jobs);
    const fresh = subscription.kept.filter(({ sequence }) => sequence >= least);
    return fresh.map((event) => eventGroup(call, subscription, event));
  });
  return {
    status: 'successful-ok',
    operation: [
      ipp.integer('notify-get-interval', subscriptionLimits.interval_s),
      ipp.integer('printer-up-time', seconds()),
    ],
    groups: told,
  };
}

/** RFC 3995 section 9.1 */
function eventGroup(call: Call, subscription: Subscription, { sequence, name, job, at_ms }: Event): Group {
  const { view } = job;
  const shown = shownOf(view);
  const id = jobNumber(view.id);
  const at = seconds() - Math.round((performance.now() - at_ms) / 1000);
  const attributes = [
    ipp.integer('notify-subscription-id', subscription.id),
    ipp.uri('notify-printer-uri', call.printerUri),
    ipp.keyword('notify-subscribed-event', name),
    ipp.integer('printer-up-time', at),
    ipp.integer('notify-sequence-number', sequence),
    ipp.charset('notify-charset', 'utf-8'),
    ipp.naturalLanguage('notify-natural-language', 'en'),
    ...userDataOf(subscription.userData),
    ipp.text('notify-text', ipp.withinOctets(`${view.title ?? 'Untitled'}: ${shown.message}`, 1023)),
    ipp.integer('notify-job-id', id),
    ipp.integer('job-id', id),
    ipp.enumeration('job-state', stateOf(view)),
    ipp.keyword('job-state-reasons', shown.reason),
  ];
  return { tag: groups['event-notification-attributes-tag'], attributes };
}
