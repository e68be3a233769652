/** The operators' page as HTML. */
import { raw } from 'hono/html';
import type { SiteView } from '../../src/api/sites.ts';
import type { AuditView } from '../../src/audit.ts';
import { strings as s } from './strings.ts';

export function Shell() {
  return (
    <>
      {raw('<!DOCTYPE html>')}
      <html lang='en'>
        <head>
          <meta charset='utf-8' />
          <meta name='viewport' content='width=device-width, initial-scale=1' />
          <meta name='color-scheme' content='light dark' />
          <title>{`${s.title} – inkmesh`}</title>
          <link rel='icon' href='/icon-48.png' />
          <link rel='stylesheet' href='/style.css' />
          <script type='module' src='/client/console.js'></script>
        </head>
        <body class='phone console' data-strings={JSON.stringify(s.script)}>
          <a class='skip' href='#view'>{s.skip}</a>
          <header>
            <a class='brand' href='/console'>inkmesh</a>
            <nav aria-label={s.title}>
              <a href='/'>{s.documents}</a>
            </nav>
          </header>
          <p id='status' role='status' aria-live='polite'></p>
          <main id='view' tabindex={-1}>
            <h1>{s.title}</h1>
            <p>{s.loading}</p>
            <noscript>
              <p>{s.noScript}</p>
            </noscript>
          </main>
          <template id='welcome'>
            <h1>{s.title}</h1>
            <p>{s.welcomeText}</p>
          </template>
        </body>
      </html>
    </>
  );
}

export interface SiteRow extends SiteView {
  /** octets */
  relayed: number;
}

export interface NodeRow {
  name: string;
  site: string;
  roles: readonly string[];
  connected: boolean;
  /** milliseconds since the epoch; null for one that was never connected here */
  seen_ms: number | null;
  revoked: boolean;
}

interface OverviewProps {
  sites: readonly SiteRow[];
  nodes: readonly NodeRow[];
  trail: readonly AuditView[];
  /** PeerId of the registrar that decisions are signed for; undefined where none is connected */
  registrar: string | undefined;
}

export function Overview({ sites, nodes, trail, registrar }: OverviewProps) {
  return (
    <>
      <h1>{s.title}</h1>
      {registrar === undefined ? <p class='warning'>{s.noRegistrar}</p> : null}
      <section aria-labelledby='sites'>
        <h2 id='sites'>{s.sites}</h2>
        <table data-registrar={registrar}>
          <Head columns={[s.site, s.relay, s.mesh, s.relayed]} />
          <tbody>
            {sites.map((site) => <Site key={site.site} site={site} fixed={registrar === undefined} />)}
          </tbody>
        </table>
      </section>
      <section aria-labelledby='nodes'>
        <h2 id='nodes'>{s.nodes}</h2>
        <table>
          <Head columns={[s.node, s.site, s.roles, s.seen]} />
          <tbody>
            {nodes.map((node) => (
              <tr key={node.name}>
                <th scope='row'>{node.name}</th>
                <td>{node.site}</td>
                <td>{node.roles.join(', ')}</td>
                <td>{seenText(node)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <section aria-labelledby='trail'>
        <h2 id='trail'>{s.trail}</h2>
        {trail.length === 0 ? <p>{s.nothing}</p> : (
          <table>
            <Head columns={[s.when, s.who, s.what]} />
            <tbody>
              {trail.map(({ at, who, detail }, row) => (
                <tr key={row}>
                  <td>{dated(Date.parse(at))}</td>
                  <td>{who ?? s.somebody}</td>
                  <td>{detail}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </section>
    </>
  );
}

function Head({ columns }: { columns: readonly string[] }) {
  return (
    <thead>
      <tr>{columns.map((name) => <th key={name} scope='col'>{name}</th>)}</tr>
    </thead>
  );
}

function Site({ site: { site, relay, mesh, relayed }, fixed }: { site: SiteRow; fixed: boolean }) {
  const other = mesh === 'site' ? 'organisation' : 'site';
  return (
    <tr data-site={site}>
      <th scope='row'>{site}</th>
      <td>
        <span data-relay>{relay ? s.on : s.off}</span>
        <button
          type='button'
          id={`relay-${site}`}
          data-setting='relay'
          data-value={relay ? 'off' : 'on'}
          aria-label={s.turn(site, !relay)}
          disabled={fixed}
        >
          {s.turnShort(!relay)}
        </button>
      </td>
      <td>
        <span>{s.scope[mesh]}</span>
        <button
          type='button'
          id={`mesh-${site}`}
          data-setting='mesh'
          data-value={other}
          aria-label={s.scopeTurn(site, other)}
          disabled={fixed}
        >
          {s.scopeShort[other]}
        </button>
      </td>
      <td class='number'>{sizeText(relayed)}</td>
    </tr>
  );
}

const dated = (time_ms: number) => new Date(time_ms).toISOString().slice(0, 19).replace('T', ' ');

function seenText({ connected, seen_ms, revoked }: NodeRow): string {
  if (revoked) return s.revoked;
  return connected ? s.now : seen_ms === null ? s.never : dated(seen_ms);
}

function sizeText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const unit = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  return `${(bytes / 1000 ** unit).toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}
