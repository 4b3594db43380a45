// What other switchboards have in the directory that they share with this one, kept up by messages that may be lost, late or doubled. No sockets, no clock.
import type { News, Place, Provider } from './lines.ts';

/** Beats of our own that come back while a place is silent, until it is given up: see BEATS. */
const PATIENCE = 4;
/** Beats in a lease: one that dies right after a beat is given up within the lease. */
export const BEATS = PATIENCE + 1;

/** What is said of a place, by whoever has it. */
export interface Message {
  readonly place: string;
  /** Counts the changes of the place. */
  readonly version: number;
  /** The change that led to this version; absent where it is only said that there is the place. */
  readonly news?: readonly News[];
}

/** A place as the directory has it. */
export interface Record {
  readonly place: Place;
  readonly version: number;
  readonly providers: readonly Provider[];
}

export interface ReplicaOptions {
  /** Hears what has changed. */
  learn(news: News): void;
  /** Reads a place from the directory; undefined if it has none of that id. What it throws is tried again with the next beat. */
  read(id: string): Promise<Record | undefined>;
  /** Hears what has gone wrong with a place that was read; nothing else ends by it. */
  failed(error: unknown): void;
}

interface Known {
  /** Below 0 until it has been read. */
  version: number;
  /** What it is, as JSON, as soon as it has been read. */
  place?: string;
  readonly providers: Set<string>;
  /** Our own beats since it was heard of. */
  silent: number;
  /** It is being read; what is said meanwhile waits. */
  reading: boolean;
  readonly waiting: Message[];
}

/** Messages of one place that may wait; beyond, it is read again. */
const MAX_WAITING = 1000;
/** Places of others: 256 nodes with 16 workers each. */
const MAX_PLACES = 4096;

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #places = new Map<string, Known>();

  constructor(options: ReplicaOptions) {
    this.#options = options;
  }

  /** Something is said of a place. What does not follow on what is known is not guessed: the place is read. */
  hear(message: Message): void {
    const known = this.#places.get(message.place);
    if (known === undefined) return this.look(message.place);
    known.silent = 0;
    if (!known.reading) this.#follow(message, known);
    else if (known.waiting.length < MAX_WAITING) known.waiting.push(message);
  }

  /** There may be a place with this id. */
  look(id: string): void {
    if (!this.#places.has(id) && this.#places.size >= MAX_PLACES) return;
    const known = this.#places.get(id) ?? {
      ...{ version: -1, providers: new Set<string>(), silent: 0, reading: false, waiting: [] },
    };
    this.#places.set(id, known);
    if (!known.reading) this.#read(id, known).catch(this.#options.failed);
  }

  /** The place says goodbye. */
  leave(id: string): void {
    const known = this.#places.get(id);
    this.#places.delete(id);
    if (known !== undefined && known.version >= 0) this.#options.learn({ down: id });
  }

  /**
   * One of our own beats has come back: the directory lives, and so does the way there and back. Whoever is silent while
   * PATIENCE of them come is gone. While the directory is away none come, and everybody stays.
   */
  beat(): void {
    for (const [id, known] of this.#places) {
      if (++known.silent > PATIENCE) this.leave(id);
      else if (known.version < 0) this.look(id);
    }
  }

  /** The directory was away: nobody's silence counts. */
  calm(): void {
    for (const known of this.#places.values()) known.silent = 0;
  }

  #follow({ place, version, news }: Message, known: Known): void {
    if (news !== undefined && version === known.version + 1) this.#apply(place, known, version, news);
    // A beat with a lower one than what is known: that is not of this place, but of somebody who wrote into it.
    else if (version > known.version || (news === undefined && version < known.version)) this.look(place);
  }

  async #read(id: string, known: Known): Promise<void> {
    known.reading = true;
    let record: Record | undefined;
    try {
      record = await this.#options.read(id);
    } catch {
      // With the next beat, which has a higher version than what is known.
    }
    known.reading = false;
    const said = known.waiting.splice(0);
    // It may have said goodbye meanwhile.
    if (this.#places.get(id) !== known) return;
    if (record !== undefined && record.version !== known.version) this.#replace(id, known, record);
    // One that was not read is not read again and again for what was said meanwhile.
    if (record !== undefined) for (const message of said) this.hear(message);
  }

  #replace(id: string, known: Known, { place, version, providers }: Record): void {
    const text = JSON.stringify(place);
    if (known.place !== text) {
      if (known.place !== undefined) this.#options.learn({ down: id });
      known.providers.clear();
      known.place = text;
      this.#options.learn({ up: place });
    }
    const gone = new Set(known.providers);
    for (const provider of providers) gone.delete(provider.id);
    const withdrawn = [...gone].map(name => ({ provider: { ...nobody, id: name, place: id } }));
    this.#apply(id, known, version, [...withdrawn, ...providers.map(provider => ({ provider }))]);
  }

  #apply(id: string, known: Known, version: number, news: readonly News[]): void {
    known.version = version;
    for (const item of news) {
      if (!('provider' in item) || item.provider.place !== id) continue;
      const { provider } = item;
      if (provider.lines.length > 0) known.providers.add(provider.id);
      else known.providers.delete(provider.id);
      this.#options.learn(item);
    }
  }
}

/** A provider without lines: only who it is matters. */
const nobody: Omit<Provider, 'id' | 'place'> = {
  ...{ owner: '', name: '', alias: '', names: [], given: [], address: '', since: 0, doubted: false, lines: [] },
};
