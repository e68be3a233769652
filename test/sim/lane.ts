/** One direction of a channel or of a link: what is sent arrives in order, later, or when a partition has healed. */
import type { Life, Machine } from './clock.ts';
import type { SimNetwork } from './network.ts';

/** A process on the network. */
export interface Host {
  readonly peer: string;
  readonly name: string;
  readonly machine: Machine;
  readonly life: Life;
}

export class Lane {
  readonly #network: SimNetwork;
  readonly #from: Host;
  readonly #to: Host;
  /** tells the sender that the process which it talks to is gone */
  readonly #lost: () => void;
  #items: (() => void)[] = [];
  /** arrived while the way was blocked */
  #owed = 0;
  #last_ms = 0;

  constructor(network: SimNetwork, from: Host, to: Host, lost: () => void) {
    this.#network = network;
    this.#from = from;
    this.#to = to;
    this.#lost = lost;
  }

  post(arrive: () => void): void {
    if (!this.#from.life.alive) return;
    this.#items.push(arrive);
    const { timeline } = this.#network;
    const at_ms = Math.max(this.#last_ms, timeline.now_ms + this.#network.delay_ms(this.#from, this.#to));
    this.#last_ms = at_ms;
    timeline.at(at_ms, () => this.#arrived());
  }

  /** The way is free again. */
  resume(): void {
    const owed = this.#owed;
    this.#owed = 0;
    this.#network.timeline.after(this.#network.delay_ms(this.#from, this.#to), () => {
      for (let i = 0; i < owed; i++) this.#arrived();
    });
  }

  #arrived(): void {
    if (this.#network.isBlocked(this.#from.peer, this.#to.peer)) {
      this.#owed++;
      this.#network.stalled.add(this);
      return;
    }
    const arrive = this.#items.shift();
    if (arrive === undefined) return;
    const { machine, life } = this.#to;
    if (life.alive) machine.run(life, arrive);
    // another process, or none, is there now: the operating system says so; one that is switched off says nothing
    else if (machine.power && !machine.asleep) this.#lost();
  }
}
