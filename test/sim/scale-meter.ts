/** Octets that nodes send, by method: each frame as the mesh writes it, with the four octets of its length. */

/** what the simulated network adds to a frame beside that: yamux's header, Noise's length and tag */
const belowBytes = 12 + 18;

export interface Sent {
  frames: number;
  octets: number;
}

export class Meter {
  /** by method, of all nodes */
  readonly byMethod = new Map<string, Sent>();
  /** by the name of the node */
  readonly byNode = new Map<string, number>();

  /** A line of the network's: time, way, protocol, octets. */
  note(line: string): void {
    const [, way = '', protocol = '', size = ''] = line.split(' ');
    const octets = Number(size) - belowBytes;
    const name = way.slice(0, way.indexOf('>'));
    this.byNode.set(name, (this.byNode.get(name) ?? 0) + octets);
    const sent = this.byMethod.get(protocol) ?? { frames: 0, octets: 0 };
    this.byMethod.set(protocol, sent);
    sent.frames++;
    sent.octets += octets;
  }

  reset(): void {
    this.byMethod.clear();
    this.byNode.clear();
  }

  get total(): number {
    return [...this.byMethod.values()].reduce((sum, { octets }) => sum + octets, 0);
  }
}
