/** What all release pages have in common. */
import { raw } from 'hono/html';
import type { Child } from 'hono/jsx';
import { strings as s } from '../strings.ts';

interface PageProps {
  title: string;
  /** `phone` has the script and can be installed; `panel` works without either */
  kind: 'phone' | 'panel';
  children?: Child;
}

export function Page({ title, kind, children }: PageProps) {
  return (
    <>
      {raw('<!DOCTYPE html>')}
      <html lang={s.lang}>
        <head>
          <meta charset='utf-8' />
          <meta name='viewport' content='width=device-width, initial-scale=1' />
          <meta name='color-scheme' content='light dark' />
          <title>{`${title} – ${s.app}`}</title>
          <link rel='icon' href='/icon-48.png' />
          <link rel='stylesheet' href='/style.css' />
          {kind === 'phone'
            ? (
              <>
                <link rel='apple-touch-icon' href='/icon-512.png' />
                <link rel='manifest' href='/manifest.webmanifest' />
                <script type='module' src='/client/main.js'></script>
              </>
            )
            : null}
        </head>
        <body class={kind} data-strings={kind === 'phone' ? JSON.stringify(s.script) : undefined}>
          {children}
        </body>
      </html>
    </>
  );
}
