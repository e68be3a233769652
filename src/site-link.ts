/** Addresses of the release pages, as links and QR codes carry them: under the name of the site, whichever node answers. */
import { renderUnicodeCompact } from 'uqr';
import { siteHosts } from '../mesh/names.ts';

/** modules of white around a QR code (ISO/IEC 18004 section 6.3.8) */
const quietZone = 4;

/**
 * @param mdns whether the nodes answer for their site by mDNS; else the administrator's DNS does
 * @param path begins with a slash
 */
export function siteLink(site: string, mdns: boolean, port: number, path: string): string {
  const hosts = siteHosts(site);
  return `https://${mdns ? hosts.mdns : hosts.dns}:${port}${path}`;
}

/** For a terminal. */
export function qrCode(link: string): string {
  return renderUnicodeCompact(link, { border: quietZone });
}
