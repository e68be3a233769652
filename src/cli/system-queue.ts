/** How each operating system is told to add a print queue without a driver, and to take it away again. */

/** A program to run. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  /** for its standard input */
  readonly input?: string;
}

/** What it is called in print dialogs. */
export const queueName = 'inkmesh';

/** @param uri `ipps:` of a printer */
export function addQueue(platform: NodeJS.Platform, uri: string): Program {
  if (platform === 'win32') {
    const name = quoted(queueName);
    return powershell([
      // one that is there may have another address
      `Get-Printer | Where-Object Name -EQ ${name} | Remove-Printer`,
      `Add-Printer -Name ${name} -IppURL ${quoted(uri)}`,
    ]);
  }
  return { command: 'lpadmin', args: ['-p', queueName, '-E', '-v', uri, '-m', 'everywhere'] };
}

/** Succeeds where there is none, but for CUPS: see `isAbsent`. */
export function removeQueue(platform: NodeJS.Platform): Program {
  return platform === 'win32'
    ? powershell([`Get-Printer | Where-Object Name -EQ ${quoted(queueName)} | Remove-Printer`])
    : { command: 'lpadmin', args: ['-x', queueName] };
}

/** Succeeds when the queue that was added can take documents: CUPS goes on to ask the printer what it can do. */
export function showQueue(platform: NodeJS.Platform): Program {
  return platform === 'win32'
    ? powershell([`Get-Printer -Name ${quoted(queueName)} | Out-Null`])
    : { command: 'lpoptions', args: ['-p', queueName, '-l'] };
}

/** Whether CUPS failed to remove a queue because there is none (in English, which LC_ALL=C gives). */
export function isAbsent(stderr: string): boolean {
  return stderr.includes('does not exist');
}

/** By standard input, so that no list of processes has the printer's address, which is a secret. */
function powershell(lines: readonly string[]): Program {
  return {
    command: 'powershell.exe',
    args: ['-NoLogo', '-NoProfile', '-NonInteractive', '-Command', '-'],
    input: ["$ErrorActionPreference = 'Stop'", ...lines, ''].join('\r\n'),
  };
}

/** A string of PowerShell in which nothing is expanded. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
