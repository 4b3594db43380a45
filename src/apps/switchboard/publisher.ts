// What a node writes into the directory of itself: a hash with a lease for each of its places, and a message with each change.
import type { Holding } from './hub.ts';
import type { News, NodeAddress, Place } from './lines.ts';
import { type Client, note, PATIENCE, within } from './redis.ts';

/** The ids of all places of all nodes. */
export const PLACES = 'cordboard:places';
export const placeKey = (id: string): string => `cordboard:place:${id}`;
/** The field of a place's hash that is no provider; so is `version`. Ids of providers have a slash. */
const PLACE = 'place';

export interface PublisherOptions {
  readonly commands: Client;
  readonly channel: string;
  /** Seconds. */
  readonly lease: number;
}

export class Publisher {
  /** Where this node is reached. */
  address: NodeAddress | undefined;
  /** Of our own places. */
  readonly versions = new Map<string, number>();
  readonly #options: PublisherOptions;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** False if the directory does not have all of them. */
  async extend(ids: readonly string[]): Promise<boolean> {
    const { commands, lease } = this.#options;
    const extended = commands.multi();
    for (const id of ids) extended.pExpire(placeKey(id), lease * 1000);
    const found = ids.length === 0 ? [] : ((await within(PATIENCE, extended.exec())) as unknown[]);
    return found.every(one => Number(one) !== 0);
  }

  /** Writes all that there is. */
  async renew(holdings: readonly Holding[]): Promise<void> {
    for (const holding of holdings) await this.#whole(holding);
  }

  async #whole({ place, providers }: Holding): Promise<void> {
    const { commands, channel, lease } = this.#options;
    const { id } = place;
    const key = placeKey(id);
    const version = this.#next(id);
    const fields = Object.fromEntries(providers.map(provider => [provider.id, JSON.stringify(provider)]));
    const written = commands
      .multi()
      .del(key)
      .hSet(key, { ...fields, [PLACE]: this.#public(place), version: String(version) })
      .pExpire(key, lease * 1000)
      .sAdd(PLACES, id)
      .publish(channel, note({ place: id, version }))
      .exec();
    await within(PATIENCE, written);
  }

  /** Writes what has changed. */
  async write(news: readonly News[]): Promise<void> {
    const byPlace = new Map<string, News[]>();
    for (const item of news) {
      const id = 'up' in item ? item.up.id : 'down' in item ? item.down : item.provider.place;
      byPlace.set(id, [...(byPlace.get(id) ?? []), item]);
    }
    const changes = Array.from(byPlace, ([id, items]) => this.#change(id, items));
    await within(PATIENCE, Promise.all(changes));
  }

  async #change(id: string, news: readonly News[]): Promise<void> {
    const { commands, channel, lease } = this.#options;
    const key = placeKey(id);
    if (news.some(item => 'down' in item)) {
      this.versions.delete(id);
      await commands
        .multi()
        .del(key)
        .sRem(PLACES, id)
        .publish(channel, note({ gone: id }))
        .exec();
      return;
    }
    const version = this.#next(id);
    const fields: { [field: string]: string } = { version: String(version) };
    const without: string[] = [];
    for (const item of news) {
      if ('up' in item) fields[PLACE] = this.#public(item.up);
      else if (!('provider' in item)) continue;
      else if (item.provider.lines.length > 0) fields[item.provider.id] = JSON.stringify(item.provider);
      else without.push(item.provider.id);
    }
    const change = commands.multi().hSet(key, fields);
    if (without.length > 0) change.hDel(key, without);
    const told = news.filter(item => 'provider' in item);
    await change
      .pExpire(key, lease * 1000)
      .sAdd(PLACES, id)
      .publish(channel, note({ place: id, version, news: told }))
      .exec();
  }

  #next(id: string): number {
    const version = (this.versions.get(id) ?? 0) + 1;
    this.versions.set(id, version);
    return version;
  }

  /** A place as others know it. */
  #public({ id, worker }: Place): string {
    return JSON.stringify({ id, worker, node: this.address });
  }
}
