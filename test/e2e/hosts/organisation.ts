/** An organisation on machines of their own, made by the commands of the README. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobView } from '../../../src/job.ts';
import type { Released } from '../../../src/release/release.ts';
import { tempDir, waitFor } from '../../fakes/processes.ts';
import type { SinkOptions } from '../../fakes/sink.ts';
import { Machine, patience_ms } from './machine.ts';
import { removeNamespaces } from './namespaces.ts';
import type { Place } from './network.ts';

const slowBytes = 4 * 1024 * 1024;
const over: readonly string[] = ['printed', 'sent', 'cancelled'];

export interface Document {
  readonly file: string;
  readonly sha256: string;
}

export interface Accepted {
  readonly id: string;
  /** names */
  readonly holders: string[];
}

/** A submission under way, whose document comes as slowly as the test wants. */
export interface SlowPrint {
  readonly sha256: string;
  /** Sends what is left. @returns the answer, undefined when the job was not accepted */
  finish(): Promise<Accepted | undefined>;
}

export class HostOrganisation {
  readonly machines: Machine[] = [];
  readonly printers: Machine[] = [];
  readonly registrar: Machine;
  /** credential of the user ada */
  readonly ada: string = join(tempDir(), 'ada');

  private constructor(registrar: Place) {
    this.registrar = new Machine(registrar);
    this.machines.push(this.registrar);
  }

  /** Founds it on a machine, whose node runs then. */
  static async found(place: Place): Promise<HostOrganisation> {
    const org = new HostOrganisation(place);
    const { registrar } = org;
    const at = ['--dir', registrar.dir];
    await registrar.run(
      'org',
      'init',
      '--name',
      'Hosts',
      '--site',
      place.site.name,
      '--node',
      place.name,
      ...at,
    );
    await registrar.start();
    await registrar.run('user', 'add', 'ada', ...at);
    const { token } = await registrar.run<{ token: string }>('user', 'invite', 'ada', ...at);
    await registrar.run('login', token, '--credential', org.ada, ...at);
    return org;
  }

  /** Enrols machines, which need not be started then. */
  async join(places: readonly Place[], options: { role?: string } = {}): Promise<Machine[]> {
    const { registrar } = this;
    const joined: Machine[] = [];
    for (const place of places) {
      const machine = new Machine(place);
      await machine.run(...await this.#joining(machine, options.role), '--at', registrar.meshAddress);
      joined.push(machine);
    }
    this.machines.push(...joined);
    return joined;
  }

  /** Enrols machines that do not reach the registrar: where that one is, and then they are carried to their places. */
  async joinAtRegistrar(machines: readonly Machine[], role?: string): Promise<void> {
    // its mesh port is taken there
    const config = join(tempDir(), 'config');
    await writeFile(config, JSON.stringify({ ports: { mesh: 0 } }));
    for (const machine of machines) {
      await this.registrar.run(...await this.#joining(machine, role), '--config', config);
    }
    this.machines.push(...machines.filter(({ command }) => command === 'node'));
  }

  /** The command by which a machine joins. */
  async #joining({ place, dir }: Machine, role?: string): Promise<string[]> {
    const { token } = await this.admin<{ token: string }>(
      ...['invite', 'node', '--site', place.site.name, ...(role === undefined ? [] : ['--role', role])],
    );
    return ['join', token, '--dir', dir, '--node', place.name];
  }

  /** A command as an administrator, at the registrar. */
  async admin<T = unknown>(...argv: string[]): Promise<T> {
    return await this.registrar.run<T>(...argv, '--dir', this.registrar.dir);
  }

  /** A printer under the name of its place, known to every node that runs. */
  async addPrinter(place: Place, options: SinkOptions = {}): Promise<Machine> {
    const printer = new Machine(place);
    this.printers.push(printer);
    const uri = await printer.becomePrinter(options);
    await this.admin('printer', 'add', uri, '--name', place.name, '--site', place.site.name);
    for (const machine of this.machines.filter(({ running }) => running)) {
      await waitFor(async () => {
        const list = await machine.run<{ name: string }[]>('printer', 'list', ...this.#as(machine));
        return list.find(({ name }) => name === place.name);
      }, { deadline_ms: patience_ms, what: `${machine.name} to know ${place.name}` });
    }
    return printer;
  }

  async connected(machines: readonly Machine[] = this.machines): Promise<void> {
    for (const machine of machines) {
      await machine.untilMembers(
        this.ada,
        machines.map(({ name }) => name).filter((n) => n !== machine.name),
      );
    }
  }

  print({ file }: Document, at: Machine): Promise<Accepted> {
    return at.run<Accepted>('print', file, ...this.#as(at));
  }

  /** Sends the first half of a document, and waits until it is being written on so many machines. */
  async printHalf(at: Machine, writing: number): Promise<SlowPrint> {
    const sha256 = await at.printHalf(this.ada, slowBytes);
    await waitFor(() => this.storing().length >= writing ? true : undefined, {
      deadline_ms: patience_ms,
      what: `${writing} machines to write the envelope`,
    });
    return { sha256, finish: () => at.printRest<Accepted>().catch(() => undefined) };
  }

  /** The machines on which an envelope is being written. */
  storing(): string[] {
    const isPart = (file: string) => file.endsWith('.part');
    return this.machines.filter(({ dir }) => envelopes(dir).some(isPart)).map(({ name }) => name);
  }

  release(id: string, printer: Machine, at: Machine, confirm: readonly string[] = []): Promise<Released> {
    const confirmed = confirm.flatMap((claim) => ['--confirm-reprint', claim]);
    return at.run<Released>('release', id, '--printer', printer.name, ...this.#as(at), ...confirmed);
  }

  jobs(at: Machine): Promise<JobView[]> {
    return at.run<JobView[]>('jobs', ...this.#as(at));
  }

  /** Waits until a node lists a job in one of these states. */
  async inState(at: Machine, id: string, ...states: string[]): Promise<JobView> {
    let seen = 'nothing';
    const look = async () => {
      const job = (await this.jobs(at)).find((job) => job.id === id);
      seen = job?.state ?? 'nothing';
      return job !== undefined && states.includes(job.state) ? job : undefined;
    };
    try {
      return await waitFor(look, {
        deadline_ms: patience_ms,
        what: `${at.name} to list the job as ${states}`,
      });
    } catch (cause) {
      throw new Error(`${cause instanceof Error ? cause.message : cause}; it lists it as ${seen}`, { cause });
    }
  }

  /** Waits until all nodes that run list the same jobs in the same states. @returns the unfinished ones */
  async agreed(): Promise<JobView[]> {
    const running = this.machines.filter((machine) => machine.running);
    const text = (jobs: readonly JobView[]) => jobs.map(({ id, state }) => `${id} ${state}`).sort().join();
    const jobs = await waitFor(async () => {
      const lists = await Promise.all(running.map((machine) => this.jobs(machine)));
      const [first = []] = lists;
      return lists.every((list) => text(list) === text(first)) ? first : undefined;
    }, { deadline_ms: 2 * patience_ms, what: 'all nodes to list the same' });
    return jobs.filter(({ state }) => !over.includes(state));
  }

  /** Waits until no node that runs keeps anything of a job that was printed. */
  async nothingKept(id: string): Promise<void> {
    const running = this.machines.filter((machine) => machine.running);
    const keeping = () => running.filter(({ dir }) => envelopes(dir).some((file) => file.startsWith(id)));
    await waitFor(() => keeping().length === 0 ? true : undefined, {
      deadline_ms: patience_ms,
      what: `every trace of ${id} to be gone`,
    });
  }

  async stop(): Promise<void> {
    await Promise.all([...this.machines, ...this.printers].map((machine) => machine.close()));
    removeNamespaces();
  }

  #as(machine: Machine): string[] {
    return ['--dir', machine.dir, '--credential', this.ada];
  }
}

/** A document of noise. */
export async function noise(bytes: number): Promise<Document> {
  const octets = randomBytes(bytes);
  const file = join(tempDir(), 'document');
  await writeFile(file, octets);
  return { file, sha256: sha256(octets) };
}

/** How often a document has come out of a printer whole. */
export async function prints(printer: Machine, sha256: string): Promise<number> {
  return (await printer.printed()).documents.filter((document) => document.sha256 === sha256).length;
}

/** Waits until a document has come out for the nth time. */
export async function untilPrinted(printer: Machine, sha256: string, times: number): Promise<void> {
  await waitFor(async () => await prints(printer, sha256) >= times ? true : undefined, {
    deadline_ms: patience_ms,
    what: `print ${times} at ${printer.name}`,
  });
}

function envelopes(dir: string): string[] {
  const folder = join(dir, 'envelopes');
  return existsSync(folder) ? readdirSync(folder) : [];
}

function sha256(octets: Uint8Array): string {
  return createHash('sha256').update(octets).digest('hex');
}
