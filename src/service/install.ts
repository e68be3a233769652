/** Makes this machine's node a service, and takes it away again. Both may be done any number of times. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { InkmeshError } from '../../mesh/errors.ts';
import { build } from '../build.ts';
import type { Config } from '../config.ts';
import { isNodeDir, writeDurably } from '../datadir.ts';
import { firewall, type Opening, openings } from './firewall.ts';
import { type Line, service } from './service.ts';

const run_ms = 120_000;
const maxSaidChars = 2000;

export interface Installed {
  /** what was not yet as it should be: `program`, `account`, `definition`, `service`, `firewall` */
  changed: string[];
  program: string;
  definition: string;
  /** commands that open the ports; none where no firewall is known */
  firewall: { name: string | null; rules: string[] };
}

/**
 * @param command that runs this program; a binary is copied to its place first
 * @param dir a node's data directory
 * @param settings whether those in it have changed: a node reads them when it starts
 * @throws InkmeshError `unavailable` with what a command of the system said
 */
export async function install(
  command: Line,
  dir: string,
  { config, settings, opens }: { config: Config; settings: boolean; opens: boolean },
): Promise<Installed> {
  const system = service();
  const changed: string[] = [];
  const own = build?.single ? await placed(system.program, changed) : command;
  if (system.account !== null && !await succeeds(system.account)) {
    await runAll(system.addAccount);
    changed.push('account');
  }
  await runAll(system.own(dir));
  const definition = system.define(own, dir);
  if (await readText(system.definition) !== definition) {
    await mkdir(dirname(system.definition), { recursive: true });
    await writeDurably(system.definition, definition, 0o644);
    changed.push('definition');
  }
  const wall = firewall(own[0]);
  const rules = wall === undefined ? [] : openings(config).flatMap((opening) => wall.add(opening));
  if (wall !== undefined && opens) {
    for (const opening of openings(config)) await reopen(wall, opening);
    changed.push('firewall');
  }
  const isNew = settings || changed.includes('program') || changed.includes('definition');
  if (isNew || !await succeeds(system.isActive)) {
    await runAll(system.start);
    changed.push('service');
  }
  return {
    changed,
    program: own[0],
    definition: system.definition,
    firewall: { name: wall?.name ?? null, rules: rules.map((line) => line.join(' ')) },
  };
}

/** @param dir deleted with `purge`, with all that the node holds. @returns what there was */
export async function uninstall(
  dir: string,
  { config, purge }: { config: Config; purge: boolean },
): Promise<string[]> {
  const system = service();
  const removed: string[] = [];
  if (await readText(system.definition) !== undefined) {
    await runAll(system.stop);
    await rm(system.definition);
    await runAll(system.forgotten);
    removed.push('service');
  }
  const wall = firewall(system.program);
  for (const opening of wall === undefined ? [] : openings(config)) {
    for (const line of wall?.remove(opening) ?? []) await succeeds(line);
  }
  if (system.account !== null && await succeeds(system.account)) {
    await runAll(system.removeAccount);
    removed.push('account');
  }
  if (await readText(system.program) !== undefined) {
    await rm(system.program);
    removed.push('program');
  }
  if (purge && await isNodeDir(dir)) {
    await rm(dir, { recursive: true });
    removed.push('data');
  }
  return removed;
}

/** Has this very binary where the service finds it. */
async function placed(program: string, changed: string[]): Promise<Line> {
  if (process.execPath === program) return [program];
  const digest = async (path: string) =>
    await readFile(path).then((content) => createHash('sha256').update(content).digest('hex'), () => '');
  if (await digest(program) !== await digest(process.execPath)) {
    await mkdir(dirname(program), { recursive: true });
    // one that runs cannot be written to, but another can take its name
    const part = join(dirname(program), '.inkmesh.part');
    await copyFile(process.execPath, part);
    await chmod(part, 0o755);
    await rename(part, program);
    changed.push('program');
  }
  return [program];
}

async function reopen(
  wall: { add(opening: Opening): readonly Line[]; remove(opening: Opening): readonly Line[] },
  opening: Opening,
): Promise<void> {
  for (const line of wall.remove(opening)) await succeeds(line);
  await runAll(wall.add(opening));
}

const readText = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);

const succeeds = (line: Line): Promise<boolean> => run(line).then(() => true, () => false);

async function runAll(lines: readonly Line[]): Promise<void> {
  for (const line of lines) await run(line);
}

/** @throws InkmeshError `unavailable` with what it says */
async function run([command, ...args]: Line): Promise<void> {
  // its tools are not in everybody's PATH
  const path = process.platform === 'win32' ? {} : { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
  const child = spawn(command, args, {
    env: { ...process.env, ...path, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: run_ms,
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => said = (said + part).slice(-maxSaidChars));
  }
  const code = await new Promise<number | string | null>((resolve) => {
    child.once('close', resolve);
    child.once('error', (error) => resolve(error.message));
  });
  if (code === 0) return;
  const line = [command, ...args].join(' ');
  throw new InkmeshError('unavailable', `${line} failed: ${said.trim() || `exit ${code}`}`);
}
