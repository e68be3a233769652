/** What the Printer MIB's alerts are called in `printer-state-reasons` (RFC 3805 PrtAlertCodeTC, PWG 5100.9). */

/** hrPrinterDetectedErrorState, bit 0 first (RFC 2790); null: not a state of its own */
export const detectedErrors: readonly string[] = [
  'media-low',
  'media-empty',
  'toner-low',
  'toner-empty',
  'door-open',
  'media-jam',
  'offline',
  // serviceRequested: what it wants is in the alerts
  'other',
  'input-tray-missing',
  'output-tray-missing',
  'marker-supply-missing',
  'output-area-almost-full',
  'output-area-full',
  'media-empty',
  // overduePreventMaint
  'other',
];

const codes: Readonly<Record<number, string>> = {
  3: 'cover-open',
  5: 'interlock-open',
  8: 'media-jam',
  22: 'offline',
  29: 'other',
  30: 'other',
  501: 'door-open',
  801: 'input-tray-missing',
  807: 'media-low',
  808: 'media-empty',
  809: 'media-needed',
  810: 'media-needed',
  811: 'input-tray-position-failure',
  812: 'input-tray-elevation-failure',
  813: 'media-needed',
  901: 'output-tray-missing',
  902: 'output-area-almost-full',
  903: 'output-area-full',
  1001: 'fuser-under-temp',
  1002: 'fuser-over-temp',
  1101: 'toner-empty',
  1102: 'marker-supply-empty',
  1103: 'marker-supply-empty',
  1104: 'toner-low',
  1105: 'marker-supply-low',
  1106: 'marker-supply-low',
  1107: 'marker-waste-almost-full',
  1108: 'marker-waste-almost-full',
  1109: 'marker-waste-full',
  1110: 'marker-waste-full',
  1111: 'opc-near-eol',
  1112: 'opc-life-over',
  1113: 'developer-low',
  1114: 'developer-empty',
  1115: 'marker-supply-missing',
  1301: 'input-tray-missing',
  1302: 'output-area-almost-full',
  1303: 'output-area-full',
};

/** prtAlertGroup: inputs, outputs, supplies; what the codes mean that are the same for all of them */
const groups: Readonly<Record<number, Readonly<Record<number, string>>>> = {
  8: { 9: 'input-tray-missing', 12: 'media-low', 13: 'media-empty' },
  9: { 9: 'output-tray-missing', 14: 'output-area-almost-full', 15: 'output-area-full' },
  11: {
    9: 'marker-supply-missing',
    12: 'marker-supply-low',
    13: 'marker-supply-empty',
    14: 'marker-waste-almost-full',
    15: 'marker-waste-full',
  },
};

/** The keyword of an alert; undefined for what tells of no trouble, such as a door that was closed. */
export function alertKeyword(group: number | undefined, code: number | undefined): string | undefined {
  return groups[group ?? 0]?.[code ?? 0] ?? codes[code ?? 0];
}
