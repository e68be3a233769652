/** What people find at the printer's address: printer-more-info, printer-supply-info-uri, printer-icons (PWG 5100.13). */
import type { Hono } from 'hono';
import { html } from 'hono/html';
import { drawIcon, iconSizes } from '../icon.ts';

const headers = {
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** The addresses of the page and of the icons. @param printerUri as the client calls it */
export function pageUris(printerUri: string): { page: string; supplies: string; icons: string[] } {
  const root = printerUri.replace(/^ipp/, 'http').split('/ipp/')[0] ?? '';
  return {
    page: `${root}/`,
    supplies: `${root}/#supplies`,
    icons: iconSizes.map((size) => `${root}/icon-${size}.png`),
  };
}

/** @param name of the queue */
export function pageRoutes(app: Hono, name: string): void {
  for (const path of ['/', '/ipp/print', '/ipp/print/:token', '/ipp/print/:token/:job']) {
    app.get(path, (c) => c.html(page(name), 200, headers));
  }
  const drawn = new Map<number, Uint8Array<ArrayBuffer>>();
  for (const size of iconSizes) {
    app.get(`/icon-${size}.png`, (c) => {
      const png = drawn.get(size) ?? drawIcon(size);
      drawn.set(size, png);
      return c.body(png, 200, { ...headers, 'content-type': 'image/png' });
    });
  }
}

function page(name: string) {
  return html`
    <!DOCTYPE html>
    <html lang="en">
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width">
      <title>${name}</title>
      <style>
    body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }
    h1 { display: flex; gap: 1rem; align-items: center }
    </style>
      <h1><img src="/icon-48.png" width="48" height="48" alt="">${name}</h1>
      <p>This is no printer but a queue. What you print here is encrypted, kept on three machines of your organisation,
    and comes out at the printer where you release it: at a panel, with your phone, or by <code>inkmesh release</code>.
    <h2>What your own queue shows</h2>
    <p>Your computer hands a document over and is done with it: its print queue is empty again, or says
    &ldquo;completed&rdquo;, within seconds, although nothing is printed yet. That is as it should be, and the next document does
    not wait for it. A list of the printer&rsquo;s own jobs says &ldquo;held&rdquo; until you release the document.
    <p><code>inkmesh jobs</code> lists what waits for you; <code>inkmesh cancel</code> takes it back. What nobody releases
    is erased when the time that your site sets is over.
    <h2>When a document is not taken</h2>
    <p>Your computer says why: a format that is not PDF, PWG raster, Apple raster, JPEG or PostScript, a document that is
    too large, no room on the machines that keep documents, too few of them awake, or an address of this queue that is not
    valid any more (add the queue again).
    <h2 id="supplies">Paper and toner</h2>
    <p>The queue has none: ask the printer at which you stand.
    </html>
  `;
}
