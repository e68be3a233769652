/** The submission port of a node of `startMesh`, over plain HTTP, with everything behind it that a real node has. */
import { Hono } from 'hono';
import { listen } from '../../src/listen.ts';
import { Jobs } from '../../src/release/jobs.ts';
import { ReleaseDoor } from '../../src/release/release.ts';
import { httpApp } from '../../src/submit/http.ts';
import { ippApp } from '../../src/submit/ipp.ts';
import { Recheck } from '../../src/submit/recheck.ts';
import { Sources } from '../../src/submit/source.ts';
import { SubmitDoor } from '../../src/submit/submit.ts';
import { tokenDoor } from '../../src/token-door.ts';
import type { FakeMesh, FakeNode } from './mesh.ts';

export interface OpenFront {
  readonly port: number;
  readonly sources: Sources;
  close(): Promise<void>;
}

export async function openFront({ authority }: FakeMesh, node: FakeNode): Promise<OpenFront> {
  const { mesh, state } = node;
  const { audit, unconfirmed: table } = state;
  const log = () => {};
  const sources = new Sources(mesh, audit);
  const recheck = new Recheck({ mesh, sources, table, audit, log });
  const submit = new SubmitDoor({ mesh, sources, recheck, audit });
  const parts = { sources, submit, audit, jobs: new Jobs(mesh), release: new ReleaseDoor(mesh) };
  const door = tokenDoor({ ...parts, secrets: { trust: authority.trust, identity: mesh.self } });
  const { fetch } = new Hono().route('/', ippApp(door, log)).route('/', httpApp(door, log));
  const listening = await listen({ fetch, address: '127.0.0.1', port: 0, what: 'a test' });
  return {
    port: listening.port,
    sources,
    close: async () => {
      recheck.close();
      const closed = listening.close();
      listening.kill();
      await closed;
    },
  };
}
