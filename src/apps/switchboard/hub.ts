// The hub: passes on to each process what the others say of their providers, and withdraws those of a process that has died. It knows no sockets.
import { detached, faultFields } from '../../server/detached.ts';
import type { Logger } from '../../server/server.ts';
import type { News, Place, Provider } from './lines.ts';

/** Sends news to a process; resolves when it may have more. */
export type Deliver = (news: News[]) => Promise<void>;

/**
 * News for one receiver, in their order. While it is busy only the latest of each thing waits, so that what waits is no more
 * than there is to know, however often somebody plugs a line in and out.
 */
export class Outbox {
  readonly #deliver: Deliver;
  readonly #log: Logger | undefined;
  readonly #waiting = new Map<string, News>();
  #busy = false;

  constructor(deliver: Deliver, log?: Logger) {
    this.#deliver = deliver;
    this.#log = log;
  }

  put(news: News): void {
    this.#waiting.set(subject(news), news);
    if (!this.#busy) detached(this.#send(), this.#log, 'news could not be passed on');
  }

  async #send(): Promise<void> {
    this.#busy = true;
    // What comes up in one tick goes together.
    await undefined;
    while (this.#waiting.size > 0) {
      const news = [...this.#waiting.values()];
      this.#waiting.clear();
      try {
        await this.#deliver(news);
      } catch (error) {
        // What comes after it must not wait for ever.
        this.#log?.error(faultFields(error), 'news could not be passed on');
      }
    }
    this.#busy = false;
  }
}

const subject = (news: News): string =>
  'provider' in news ? `provider ${news.provider.id}` : `place ${'up' in news ? news.up.id : news.down}`;

interface Member {
  /** Absent for a process of another switchboard: that hears by way of the directory. */
  readonly outbox?: Outbox;
  /** Set while it takes calls. */
  place: Place | undefined;
  readonly providers: Map<string, Provider>;
}

/** A place with its providers. */
export interface Holding {
  readonly place: Place;
  readonly providers: readonly Provider[];
}

export class Hub {
  /** By the id of the place. */
  readonly #members = new Map<string, Member>();
  #directory: Outbox | undefined;
  readonly #log: Logger | undefined;

  /** `log` hears of news that could not be passed on. */
  constructor(log?: Logger) {
    this.#log = log;
  }

  /** A process that is about to be a place: it hears everything from now on. Returns what there is to know by now. */
  join(id: string, deliver: Deliver): News[] {
    const news = [...this.#members.values()].flatMap(({ place, providers }): News[] =>
      place === undefined ? [] : [{ up: place }, ...Array.from(providers.values(), provider => ({ provider }))],
    );
    this.#members.set(id, { outbox: new Outbox(deliver, this.#log), place: undefined, providers: new Map() });
    return news;
  }

  /** It takes calls from now on. */
  up(place: Place): void {
    const member = this.#members.get(place.id);
    if (member === undefined) return;
    member.place = place;
    this.#tell(place.id, { up: place });
  }

  /** What the process says of its own providers. Of others, or before it is up and after it has died, it is not heeded. */
  hear(id: string, news: readonly News[]): void {
    const member = this.#members.get(id);
    for (const item of news) {
      if (member?.place === undefined || !('provider' in item) || item.provider.place !== id) continue;
      const { provider } = item;
      if (provider.lines.length > 0) member.providers.set(provider.id, provider);
      else member.providers.delete(provider.id);
      this.#tell(id, item);
    }
  }

  /** It has died, or is about to. */
  down(id: string): void {
    const member = this.#members.get(id);
    if (member?.place !== undefined) this.#tell(id, { down: id });
    this.#members.delete(id);
  }

  // Other switchboards

  /** The directory that is shared with them: it hears what the processes of this one say. */
  share(deliver: Deliver): void {
    this.#directory = new Outbox(deliver, this.#log);
  }

  /** What it has to know of them by now. */
  get ours(): Holding[] {
    return [...this.#members.values()].flatMap(({ outbox, place, providers }) =>
      outbox && place ? [{ place, providers: [...providers.values()] }] : [],
    );
  }

  /** What it says of processes of others. */
  learn(news: News): void {
    if ('up' in news) {
      if (this.#members.has(news.up.id)) return;
      this.#members.set(news.up.id, { place: undefined, providers: new Map() });
      this.up(news.up);
    } else if ('down' in news) {
      if (this.#isForeign(news.down)) this.down(news.down);
    } else if (this.#isForeign(news.provider.place)) this.hear(news.provider.place, [news]);
  }

  #isForeign(id: string): boolean {
    const member = this.#members.get(id);
    return member !== undefined && member.outbox === undefined;
  }

  #tell(from: string, news: News): void {
    for (const [id, { outbox }] of this.#members) if (id !== from) outbox?.put(news);
    if (!this.#isForeign(from)) this.#directory?.put(news);
  }
}
