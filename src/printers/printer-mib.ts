/** What a printer says of itself by SNMP: Host Resources MIB (RFC 2790) and Printer MIB (RFC 3805). */
import { conditionLimits, snmpLimits } from '../limits.ts';
import { alertKeyword, detectedErrors } from './alerts.ts';
import { type Condition, mergedReasons, type Reason, type Supply } from './condition.ts';
import { integerOf, type SnmpSession, textOf, type Value } from './snmp.ts';

const host = '1.3.6.1.2.1.25.3';
const printer = '1.3.6.1.2.1.43';
const oid = {
  hrDeviceDescr: `${host}.2.1.3`,
  hrDeviceStatus: `${host}.2.1.5`,
  hrPrinterStatus: `${host}.5.1.1`,
  hrPrinterDetectedErrorState: `${host}.5.1.2`,
  prtGeneralSerialNumber: `${printer}.5.1.1.17`,
  prtMarkerLifeCount: `${printer}.10.2.1.4`,
  prtMarkerSuppliesClass: `${printer}.11.1.1.4`,
  prtMarkerSuppliesDescription: `${printer}.11.1.1.6`,
  prtMarkerSuppliesMaxCapacity: `${printer}.11.1.1.8`,
  prtMarkerSuppliesLevel: `${printer}.11.1.1.9`,
  prtAlertSeverityLevel: `${printer}.18.1.1.2`,
  prtAlertGroup: `${printer}.18.1.1.4`,
  prtAlertCode: `${printer}.18.1.1.7`,
  prtAlertDescription: `${printer}.18.1.1.8`,
} as const;

const deviceStatus = { running: 2, warning: 3, down: 5 } as const;
const printerStatus = { idle: 3, printing: 4, warmup: 5 } as const;
const alertSeverity = { critical: 3, warning: 4, warningBinaryChange: 5 } as const;
const receptacleThatIsFilled = 4;
/** bits of hrPrinterDetectedErrorState with which nothing comes out, whatever else is true */
const blocking = new Set(['media-empty', 'toner-empty', 'door-open', 'media-jam', 'offline']);
/** and with which something may, from another tray or into another bin */
const partly = new Set([
  'input-tray-missing',
  'output-tray-missing',
  'marker-supply-missing',
  'output-area-full',
]);
const inputTrayEmpty = 13;

/** @returns undefined for an agent that is no printer @throws as `SnmpSession.get` does */
export async function readCondition(session: SnmpSession): Promise<Condition | undefined> {
  const [devices, counters, alerts, supplies] = await Promise.all([
    session.rows([oid.hrPrinterStatus, oid.hrPrinterDetectedErrorState], 1),
    // many agents have the one half of it only, or are slow with it
    session.rows([oid.prtMarkerLifeCount], 1).catch(() => new Map<string, Value[]>()),
    readAlerts(session).catch(() => []),
    readSupplies(session).catch(() => []),
  ]);
  const [device] = devices;
  if (device === undefined) return undefined;
  const [index, [status, errors]] = device;
  const [deviceState] = await session.get([`${oid.hrDeviceStatus}.${index}`]).catch(() => [undefined]);
  const state = { printer: integerOf(status), device: integerOf(deviceState) };
  const [[pages] = []] = [...counters.values()];
  const reasons = mergedReasons([...errorReasons(errors, state), ...alerts]);
  return {
    activity: activityOf(state),
    reasons: reasons.slice(0, conditionLimits.maxReasons),
    ...((integerOf(pages) ?? -1) < 0 ? {} : { pages: integerOf(pages) ?? 0 }),
    ...(supplies.length === 0 ? {} : { supplies }),
  };
}

interface States {
  printer: number | undefined;
  device: number | undefined;
}

/** RFC 3805 section 2.2.13.2. */
function activityOf({ printer, device }: States): Condition['activity'] {
  if (printer === printerStatus.printing) return 'processing';
  if (printer === printerStatus.idle || printer === printerStatus.warmup) return 'idle';
  if (device === deviceStatus.down) return 'stopped';
  // standby
  return device === deviceStatus.running || device === deviceStatus.warning ? 'idle' : 'unknown';
}

function errorReasons(value: Value, state: States): Reason[] {
  if (!(value instanceof Uint8Array)) return [];
  const works = activityOf(state) !== 'stopped' && state.device !== deviceStatus.down;
  return detectedErrors.flatMap((keyword, bit) => {
    if (((value[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) === 0) return [];
    const stops = bit === inputTrayEmpty ? !works : blocking.has(keyword) || (partly.has(keyword) && !works);
    return [{ keyword, severity: stops ? 'error' : 'warning' }];
  });
}

async function readAlerts(session: SnmpSession): Promise<Reason[]> {
  const { prtAlertSeverityLevel, prtAlertGroup, prtAlertCode, prtAlertDescription } = oid;
  const columns = [prtAlertSeverityLevel, prtAlertGroup, prtAlertCode, prtAlertDescription];
  const rows = await session.rows(columns, snmpLimits.maxAlerts);
  return [...rows.values()].flatMap(([level, group, code, description]): Reason[] => {
    const known = alertKeyword(integerOf(group), integerOf(code));
    const isCritical = level === alertSeverity.critical;
    const isWarning = level === alertSeverity.warning || level === alertSeverity.warningBinaryChange;
    if (known === undefined && !isCritical) return [];
    const text = textOf(description);
    const severity = isCritical ? 'error' : isWarning ? 'warning' : 'report';
    return [{ keyword: known ?? 'other', severity, ...(text === undefined ? {} : { text }) }];
  });
}

async function readSupplies(session: SnmpSession): Promise<Supply[]> {
  const rows = await session.rows([
    oid.prtMarkerSuppliesClass,
    oid.prtMarkerSuppliesDescription,
    oid.prtMarkerSuppliesMaxCapacity,
    oid.prtMarkerSuppliesLevel,
  ], snmpLimits.maxSupplies);
  return [...rows.values()].flatMap(([kind, description, most, level]) => {
    const name = textOf(description);
    if (name === undefined) return [];
    const [full, now] = [integerOf(most) ?? 0, integerOf(level) ?? -1];
    // below 0 it does not know (RFC 3805 prtMarkerSuppliesLevel)
    const percent = full > 0 && now >= 0 ? Math.min(100, Math.round((100 * now) / full)) : null;
    return [{ name, isWaste: kind === receptacleThatIsFilled, percent }];
  });
}

export interface Identity {
  model?: string;
  serial?: string;
}

/** @returns undefined for an agent that is no printer @throws as `SnmpSession.get` does */
export async function readIdentity(session: SnmpSession): Promise<Identity | undefined> {
  const [[device] = [undefined]] = await session.rows([oid.hrPrinterStatus], 1);
  if (device === undefined) return undefined;
  const [model, serials] = await Promise.all([
    session.get([`${oid.hrDeviceDescr}.${device}`]).then(([value]) => textOf(value)),
    session.rows([oid.prtGeneralSerialNumber], 1),
  ]);
  const [[serialValue] = []] = [...serials.values()];
  const serial = textOf(serialValue);
  return { ...(model === undefined ? {} : { model }), ...(serial === undefined ? {} : { serial }) };
}
