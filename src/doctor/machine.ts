/** What the doctor sees on this machine: who the node is, and what it has to live on. */
import { statfs } from 'node:fs/promises';
import { asInkmeshError } from '../../mesh/errors.ts';
import { isDue } from '../../mesh/mod.ts';
import type { Config } from '../config.ts';
import { type NodeSecrets, readNode } from '../datadir.ts';
import { fail, type Finding, ok, warn } from './finding.ts';

const day = (time_ms: number) => new Date(time_ms).toISOString().slice(0, 10);
const gib = (bytes: number) => `${(bytes / 1024 ** 3).toFixed(1)} GiB`;

/** @returns the node's secrets too, where they can be used */
export async function identity(dir: string): Promise<{ secrets?: NodeSecrets; findings: Finding[] }> {
  try {
    const secrets = await readNode(dir);
    const { name, site, notAfter } = secrets.identity;
    const about = ok('identity', `"${name}" of ${secrets.trust.organisation}, site "${site}"`);
    const ends = day(notAfter);
    const lasts = isDue({ notAfter }, Date.now())
      ? warn(
        'certificate',
        `it ends on ${ends}, and no registrar has renewed it`,
        'start a registrar: see inkmesh node list, and inkmesh doctor there',
      )
      : ok('certificate', `it is valid until ${ends}, and renewed before`);
    return { secrets, findings: [about, lasts] };
  } catch (thrown) {
    const { code, message } = asInkmeshError(thrown);
    const again = `inkmesh join TOKEN --dir ${dir}`;
    switch (code) {
      case 'not-found':
        return { findings: [fail('identity', `${dir} belongs to no node yet`, again)] };
      case 'unauthenticated':
        return {
          findings: [
            fail(
              'certificate',
              message,
              `start a registrar, then this node; after 90 days: rm -r ${dir}, and ${again}`,
            ),
          ],
        };
      case 'unavailable':
        return {
          findings: [fail('identity', message, 'run inkmesh doctor as the administrator of this machine')],
        };
      default:
        return {
          findings: [
            fail(
              'identity',
              `${dir}: ${message}`,
              `restore it from a backup; else rm -r ${dir}, and ${again}`,
            ),
          ],
        };
    }
  }
}

export async function disk(dir: string, { storage }: Config): Promise<Finding> {
  const { reserve_bytes, quota_bytes } = storage;
  const volume = await statfs(dir).catch(() => undefined);
  if (volume === undefined) return fail('disk', `${dir} is not there`, `inkmesh join TOKEN --dir ${dir}`);
  const free = volume.bavail * volume.bsize;
  const room = `${gib(free)} are free, ${gib(reserve_bytes)} of them are kept free`;
  const fix = `free some space on the volume of ${dir}, or lower storage.reserve_bytes`;
  if (free < reserve_bytes) return fail('disk', `no document can be taken: ${room}`, fix);
  if (free < reserve_bytes + Math.min(quota_bytes, reserve_bytes)) {
    return warn('disk', `it gets tight: ${room}`, fix);
  }
  return ok('disk', room);
}
