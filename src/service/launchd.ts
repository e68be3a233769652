/** The service of macOS: a daemon of launchd with an account of its own. */
import type { Line, Service } from './service.ts';

const label = 'org.inkmesh.node';
const account = '_inkmesh';
const dataDir = '/Library/Application Support/inkmesh';
const definition = `/Library/LaunchDaemons/${label}.plist`;
const log = '/Library/Logs/inkmesh.log';
/** of the range that macOS leaves to services; the account's group is the one of daemons */
const uid = '463';
const daemonGroup = '1';

const record = (...args: string[]): Line => ['dscl', '.', '-create', `/Users/${account}`, ...args];

export const launchd: Service = {
  program: '/usr/local/bin/inkmesh',
  dir: dataDir,
  definition,
  define,
  account: ['dscl', '.', '-read', `/Users/${account}`],
  addAccount: [
    record(),
    record('UniqueID', uid),
    record('PrimaryGroupID', daemonGroup),
    record('NFSHomeDirectory', '/var/empty'),
    record('UserShell', '/usr/bin/false'),
    record('IsHidden', '1'),
  ],
  removeAccount: [['dscl', '.', '-delete', `/Users/${account}`]],
  own: (dir) => [['chown', '-R', `${account}:daemon`, dir]],
  isActive: ['launchctl', 'print', `system/${label}`],
  start: [
    // one that is loaded would keep its old definition
    [
      'sh',
      '-c',
      `launchctl bootout system/${label} 2>/dev/null; exec launchctl bootstrap system ${definition}`,
    ],
  ],
  stop: [['launchctl', 'bootout', `system/${label}`]],
  forgotten: [['rm', '-f', log]],
};

/** launchd.plist(5) */
function define(command: Line, dir: string): string {
  const words = [...command, 'node', '--dir', dir].map((word) => `    <string>${escaped(word)}</string>`);
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${label}</string>
  <key>ProgramArguments</key>
  <array>
${words.join('\n')}
  </array>
  <key>UserName</key>
  <string>${account}</string>
  <key>GroupName</key>
  <string>daemon</string>
  <key>Umask</key>
  <integer>63</integer>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <true/>
  <key>ThrottleInterval</key>
  <integer>5</integer>
  <key>ExitTimeOut</key>
  <integer>60</integer>
  <key>ProcessType</key>
  <string>Background</string>
  <key>StandardErrorPath</key>
  <string>${log}</string>
  <key>SoftResourceLimits</key>
  <dict>
    <key>NumberOfFiles</key>
    <integer>16384</integer>
  </dict>
</dict>
</plist>
`;
}

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll(
    '"',
    '&quot;',
  );
}
