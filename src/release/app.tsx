/**
 * The release app: pages for phones, whose script signs each request with the browser's own credential, and for panels,
 * which work without script. Nothing here needs to know who asks: the phone's shell is the same for everybody, and the
 * panel keeps its own sessions.
 */
import { Hono } from 'hono';
import { assetRoutes } from './assets.ts';
import { headers } from './headers.ts';
import { Page } from './pages/layout.tsx';
import { Shell } from './pages/phone.tsx';
import { type PanelDoors, panelRoutes } from './panel.tsx';
import { strings as s } from './strings.ts';

export interface AppOptions {
  /** who serves the pages: the script signs for it */
  node: {
    readonly peer: string;
    readonly site: string;
    readonly organisation: string;
    /** a node that can do nothing by itself: what is to be done is signed for another one */
    readonly cloud?: true;
  };
  /** milliseconds since the epoch, agreed with the peers: what the script signs is judged by that */
  now_ms(): number;
  /** on a node that may know who stands at a panel */
  panel: PanelDoors | undefined;
  /** what passes releases on to other nodes */
  forward: Hono;
}

/** The pages of a node's release port; its API lies under `/v1/` and `/app/`. */
export function releaseApp({ node, now_ms, panel, forward }: AppOptions): Hono {
  const app = new Hono();
  app.use(headers);
  assetRoutes(app);
  // the names of a super node and of the one that follows it are the same: the script asks which one answers
  app.get('/node.json', (c) => c.json({ ...node, now_ms: now_ms() }, 200, { 'cache-control': 'no-store' }));
  for (const path of ['/', '/enrol']) {
    app.get(path, (c) => c.html(<Shell panel={panel !== undefined} />, 200, { 'cache-control': 'no-cache' }));
  }
  if (panel !== undefined) panelRoutes(app, panel);
  app.route('/forward', forward);
  app.notFound((c) =>
    c.html(
      <Page title={s.notFound} kind='panel'>
        <main>
          <h1>{s.notFound}</h1>
          <p>
            <a href='/'>{s.jobs}</a>
          </p>
        </main>
      </Page>,
      404,
    )
  );
  return app;
}
