/** What the running node says of itself and of the others. */
import { request } from 'node:https';
import { toPem } from '../../mesh/mod.ts';
import { type Health, healthKey } from '../api/health.ts';
import type { NodeSecrets, RunFile } from '../datadir.ts';
import { firewallAdvice } from '../service/firewall.ts';
import { fail, type Finding, ok, warn } from './finding.ts';

/** a member's dial that no answer comes to takes 10 s */
const patience_ms = 30_000;
const maxAnswerChars = 1024 * 1024;
/** grants are valid for two minutes */
const clockWarn_ms = 20_000;
const clockFail_ms = 60_000;

/** Asks the node that runs in the directory. @throws Error when it does not answer */
export function askHealth({ ports }: RunFile, { sealKey, trust }: NodeSecrets): Promise<Health> {
  return new Promise((resolve, reject) => {
    const asked = request({
      host: '127.0.0.1',
      port: ports.release,
      path: '/health',
      servername: 'localhost',
      ca: toPem('CERTIFICATE', trust.root),
      headers: { authorization: `Bearer ${healthKey(sealKey)}` },
      timeout: patience_ms,
    }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
        if (text.length > maxAnswerChars) asked.destroy(new Error('it says too much'));
      }).once('end', () => {
        if (answer.statusCode === 200) resolve(JSON.parse(text) as Health);
        else reject(new Error(`it answers with status ${answer.statusCode}`));
      });
    });
    asked.once('timeout', () => asked.destroy(new Error('it does not answer')));
    asked.once('error', reject).end();
  });
}

/** Whether others can connect to this node: those of its site by themselves, and those of other sites maybe by a relay. */
export function reachable({ alone, members, probed, relays }: Health, { ports }: RunFile): Finding {
  if (alone) return ok('reachable', 'there is no other node yet that could connect');
  const tried = probed.filter(({ reachable }) => reachable !== null);
  const reaching = tried.filter(({ reachable }) => reachable === true).map(({ name }) => name);
  if (reaching.length > 0) {
    return ok('reachable', `${reaching.join(', ')} can connect to TCP port ${ports.mesh}`);
  }
  const through = `others reach this node through ${relays.join(', ')}`;
  if (tried.length > 0) {
    const who = tried.map(({ name }) => name).join(', ');
    const blocked = `${who} cannot connect to TCP port ${ports.mesh} of this machine`;
    return relays.length === 0
      ? fail('reachable', blocked, firewallAdvice())
      : warn('reachable', `${through}, as ${blocked}`, firewallAdvice());
  }
  if (relays.length > 0) {
    return ok('reachable', `${through}; no other node of this site has tried TCP port ${ports.mesh}`);
  }
  const why = members.length === 0 ? 'no other node is connected' : 'nobody knows yet where this node is';
  return warn(
    'reachable',
    `it is unknown whether others reach this node: ${why}`,
    'start another node, and ask again',
  );
}

export function peers({ alone, members }: Health): Finding {
  if (alone) {
    return warn(
      'peers',
      'this is the only node: a job is kept on three machines',
      'inkmesh invite node, and inkmesh install --token TOKEN on two others',
    );
  }
  const seen = members.length === 0 ? 'no other node is connected' : `${members.join(', ')} connected`;
  if (members.length >= 2) return ok('peers', seen);
  const fix =
    'start the other nodes; where mDNS does not reach them, name one in `peers` of the configuration';
  if (members.length === 1) return warn('peers', `only ${seen}: a job is kept on three machines`, fix);
  return fail('peers', seen, fix);
}

export function clock({ clockOff_ms }: Health): Finding {
  if (clockOff_ms === null) return ok('clock', 'there is no other node to compare it with');
  const off = Math.abs(clockOff_ms);
  const message = `it is ${(off / 1000).toFixed(1)} s ${
    clockOff_ms > 0 ? 'ahead of' : 'behind'
  } the other nodes`;
  if (off < clockWarn_ms) return ok('clock', message);
  return (off < clockFail_ms ? warn : fail)('clock', message, setClock());
}

function setClock(): string {
  switch (process.platform) {
    case 'win32':
      return 'w32tm /resync';
    case 'darwin':
      return 'sudo sntp -sS time.apple.com';
    default:
      return 'sudo timedatectl set-ntp true';
  }
}

export function printers({ printers }: Health): Finding {
  const off = printers.filter(({ reached }) => reached === false).map(({ name }) => name);
  if (printers.length === 0) {
    return warn(
      'printers',
      'this site has none',
      'inkmesh printer discover, and inkmesh printer add',
    );
  }
  if (off.length > 0) {
    return warn(
      'printers',
      `this machine cannot connect to ${off.join(', ')}`,
      `inkmesh printer status ${off[0]}`,
    );
  }
  return ok('printers', `${printers.map(({ name }) => name).join(', ')}`);
}
