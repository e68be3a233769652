/** The script and style of the release pages, as they are in the sources; a built program has them inside. */
import { readFileSync } from 'node:fs';

/** @param name a file of the folder `client` */
export function clientFile(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL(`./client/${name}`, import.meta.url)));
}
