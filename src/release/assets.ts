/** What the release pages are made of besides HTML: script, style, icons, manifest. All of it is this node's own. */
import { createHash } from 'node:crypto';
import type { Hono } from 'hono';
import { drawIcon, iconSizes } from '../icon.ts';
import { clientFile } from './client-file.ts';
import { strings } from './strings.ts';

const scripts = [
  'api.js',
  'base64.js',
  'cbor.js',
  'console.js',
  'csr.js',
  'enrol.js',
  'main.js',
  'morph.js',
  'options.js',
  'release.js',
  'renew.js',
  'signing.js',
  'store.js',
  'views.js',
];

interface Asset {
  path: string;
  type: string;
  content(): Uint8Array<ArrayBuffer>;
}

const manifest = {
  id: '/',
  name: strings.app,
  short_name: strings.app,
  start_url: '/',
  scope: '/',
  display: 'standalone',
  background_color: '#f4f6f8',
  theme_color: '#2f5d8a',
  icons: iconSizes.map((size) => ({
    src: `/icon-${size}.png`,
    sizes: `${size}x${size}`,
    type: 'image/png',
    purpose: 'any',
  })),
};

function all(): Asset[] {
  const js = 'text/javascript; charset=utf-8';
  return [
    ...scripts.map((name) => ({ path: `/client/${name}`, type: js, content: () => clientFile(name) })),
    // at the root, so that it may serve all pages (Service Workers, section 2.2)
    { path: '/sw.js', type: js, content: () => clientFile('sw.js') },
    { path: '/style.css', type: 'text/css; charset=utf-8', content: () => clientFile('style.css') },
    {
      path: '/manifest.webmanifest',
      type: 'application/manifest+json',
      content: () => new TextEncoder().encode(JSON.stringify(manifest)),
    },
    ...iconSizes.map((size) => ({
      path: `/icon-${size}.png`,
      type: 'image/png',
      content: () => drawIcon(size),
    })),
  ];
}

/**
 * Serves them, each made when it is first asked for; browsers ask whether there are new ones each time (RFC 9110
 * section 13.1.2).
 */
export function assetRoutes(app: Hono): void {
  for (const { path, type, content: make } of all()) {
    let made: { content: Uint8Array<ArrayBuffer>; etag: string } | undefined;
    app.get(path, (c) => {
      const { content, etag } = made ??= tagged(make());
      const headers = { etag, 'cache-control': 'no-cache' };
      if (c.req.header('if-none-match') === etag) return c.body(null, 304, headers);
      return c.body(content, 200, { ...headers, 'content-type': type });
    });
  }
}

function tagged(content: Uint8Array<ArrayBuffer>) {
  return { content, etag: `"${createHash('sha256').update(content).digest('base64url')}"` };
}
