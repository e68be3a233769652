import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { addQueue, isAbsent, removeQueue, showQueue } from '../../src/cli/system-queue.ts';

const uri = 'ipps://localhost:9265/ipp/print/secret';

test('CUPS and macOS are told by lpadmin', () => {
  for (const platform of ['linux', 'darwin'] as const) {
    assert.equal(addQueue(platform, uri), {
      command: 'lpadmin',
      args: ['-p', 'inkmesh', '-E', '-v', uri, '-m', 'everywhere'],
    });
    assert.equal(removeQueue(platform), { command: 'lpadmin', args: ['-x', 'inkmesh'] });
    assert.equal(showQueue(platform), { command: 'lpoptions', args: ['-p', 'inkmesh', '-l'] });
  }
});

test('Windows is told by PowerShell, and no list of processes shows the address', () => {
  const { command, args, input = '' } = addQueue('win32', uri);
  assert.is(command, 'powershell.exe');
  assert.not(args.join(' ').includes('secret'));
  assert.equal(input.split('\r\n'), [
    "$ErrorActionPreference = 'Stop'",
    "Get-Printer | Where-Object Name -EQ 'inkmesh' | Remove-Printer",
    `Add-Printer -Name 'inkmesh' -IppURL '${uri}'`,
    '',
  ]);
  assert.not(removeQueue('win32').input?.includes('Add-Printer'));
});

test('what is quoted for PowerShell stays one string', () => {
  const { input = '' } = addQueue('win32', "ipps://x/'; Remove-Item C:\\ #");
  assert.match(input, "-IppURL 'ipps://x/''; Remove-Item C:\\ #'\r\n");
});

test('that there is no queue is told from other failures', () => {
  assert.ok(isAbsent('lpadmin: The printer or class does not exist.'));
  assert.not(isAbsent('lpadmin: Forbidden'));
});

test.run();
