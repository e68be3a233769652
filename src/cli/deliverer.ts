/** The node that delivers to a printer: this machine's own, or one that reaches the printer where that one does not. */
import type { Deliverer } from '../api/printers.ts';
import { Client } from './client.ts';
import { endpointsOf } from './nodes.ts';

/**
 * @param client of the node that is asked first
 * @returns a client of the node that a grant is to be signed for; `client` where nobody is known to do better
 */
export async function delivererFor(client: Client, printer: string): Promise<Client> {
  const nodes = await client.get<Deliverer[]>(`/v1/printers/${encodeURIComponent(printer)}/nodes`);
  for (const node of nodes) {
    if (node.here) break;
    for (const endpoint of endpointsOf([node])) {
      const other = new Client(client.credential, endpoint);
      // a node gives all its addresses, of which not each is one from here
      if (await other.get('/v1/submission-nodes').then(() => true, () => false)) return other;
    }
  }
  // its delivery says what is wrong
  return client;
}
