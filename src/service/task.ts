/**
 * The service of Windows: a task of the Task Scheduler that starts with the machine, runs as LOCAL SERVICE and is
 * started again when it ends. (A service of the Service Control Manager would have to speak its protocol, which neither
 * Node nor Deno does.)
 */
import { escaped } from './launchd.ts';
import type { Line, Service } from './service.ts';

const name = 'inkmesh';
const programs = process.env['ProgramFiles'] ?? 'C:\\Program Files';
const data = process.env['ProgramData'] ?? 'C:\\ProgramData';
const definition = `${data}\\inkmesh-task.xml`;
/** security identifiers of LOCAL SERVICE, Administrators, SYSTEM: their names are translated */
const [localService, administrators, system] = ['S-1-5-19', 'S-1-5-32-544', 'S-1-5-18'];

export const task: Service = {
  program: `${programs}\\inkmesh\\inkmesh.exe`,
  dir: `${data}\\inkmesh`,
  definition,
  define,
  account: null,
  addAccount: [],
  removeAccount: [],
  own: (dir) => [
    ['icacls', dir, '/inheritance:r', '/grant:r']
      .concat([localService, administrators, system].map((sid) => `*${sid}:(OI)(CI)F`)) as unknown as Line,
  ],
  isActive: [
    ...['powershell.exe', '-NoLogo', '-NoProfile', '-NonInteractive', '-Command'] as const,
    `if ((Get-ScheduledTask -TaskName ${name}).State -ne 'Running') { exit 1 }`,
  ],
  start: [
    ['schtasks', '/Create', '/TN', name, '/XML', definition, '/F'],
    // one that does not run cannot be ended
    ['cmd.exe', '/d', '/c', `schtasks /End /TN ${name} >NUL 2>&1 & schtasks /Run /TN ${name}`],
  ],
  stop: [['cmd.exe', '/d', '/c', `schtasks /End /TN ${name} >NUL 2>&1 & schtasks /Delete /TN ${name} /F`]],
  forgotten: [],
};

/** Task Scheduler Schema 1.2 */
function define([program, ...args]: Line, dir: string): string {
  const words = [...args, 'node', '--dir', dir].map((word) => `"${word}"`).join(' ');
  return `<?xml version="1.0" encoding="UTF-8"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>inkmesh edge node: secure print release without a print server</Description>
  </RegistrationInfo>
  <Triggers>
    <BootTrigger />
    <TimeTrigger>
      <StartBoundary>2020-01-01T00:00:00</StartBoundary>
      <Repetition>
        <Interval>PT1M</Interval>
      </Repetition>
    </TimeTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>${localService}</UserId>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>7</Priority>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>${escaped(program)}</Command>
      <Arguments>${escaped(words)}</Arguments>
    </Exec>
  </Actions>
</Task>
`;
}
