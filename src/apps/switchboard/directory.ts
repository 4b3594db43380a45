// The directory that several switchboards share, in Redis: a hash for each place with a lease on it, changes and beats by pub/sub, names and whose they are.

import { randomBytes } from 'node:crypto';
import { reason } from '../../server/runtime/reason.ts';
import type { Logger } from '../../server/server.ts';
import type { Holding, Hub } from './hub.ts';
import type { News, NodeAddress, Place } from './lines.ts';
import { type Client, type Create, channelOf, load, note, PATIENCE, within } from './redis.ts';
import type { Registry } from './registry.ts';
import { BEATS, Replica } from './replica.ts';
import { type Note, parseNote, parseRecord } from './shapes.ts';
import { SharedNames } from './shared-names.ts';

/** Keys: the ids of all places, and what is known of one. */
const PLACES = 'cordboard:places';
const placeKey = (id: string) => `cordboard:place:${id}`;
/** The field of a place's hash that is no provider; so is `version`. Ids of providers have a slash. */
const PLACE = 'place';

/** Milliseconds between attempts to connect, at most. */
const RETRY = 1000;

export interface DirectoryOptions {
  /** redis://[user:password@]host[:port][/database], or rediss:// for TLS. */
  readonly url: string;
  /** Seconds after which lines of a node that is silent are given up. */
  readonly lease: number;
  readonly hub: Hub;
  readonly registry: Registry;
  readonly log: Logger;
}

export class Directory {
  readonly #options: DirectoryOptions;
  readonly #commands: Client;
  readonly #listener: Client;
  readonly #channel: string;
  /** This node among all. */
  readonly #node = randomBytes(8).toString('hex');
  readonly #replica: Replica;
  readonly #names: SharedNames;
  /** Of our own places. */
  readonly #versions = new Map<string, number>();
  #address: NodeAddress | undefined;
  #timer: NodeJS.Timeout | undefined;
  #subscribed = false;
  /** Commands may be given. */
  #there = false;
  /** What the directory has of us may not be what there is. */
  #stale = true;
  /** A beat of ours is under way: there is one at a time, or those that had to wait would come back at once, before those of others. */
  #beating = false;
  #stopped = false;

  private constructor(options: DirectoryOptions, create: Create) {
    this.#options = options;
    const { url, lease, hub } = options;
    this.#channel = channelOf(url);
    this.#commands = create({
      url,
      disableOfflineQueue: true,
      socket: {
        // Something comes with each beat, or the way is cut.
        socketTimeout: Math.max(PATIENCE, lease * 1000),
        connectTimeout: PATIENCE,
        // Whoever comes back late is given up meanwhile.
        reconnectStrategy: retries => Math.min(RETRY, (lease * 1000) / BEATS, 50 * 2 ** retries),
      },
    });
    this.#listener = this.#commands.duplicate();
    this.#names = new SharedNames({ ...options, commands: this.#commands, channel: this.#channel });
    this.#replica = new Replica({ learn: news => hub.learn(news), read: id => this.#read(id) });
    hub.share(news => this.#tell(news));
    for (const client of [this.#commands, this.#listener]) {
      client.on('error', (error: Error) => this.#away(error));
      client.on('end', () => this.#away(new Error('the connection has ended')));
      client.on('ready', () => void this.#arrived());
    }
  }

  /** @throws StateError without the package, or if the URL is none */
  static async open(options: DirectoryOptions): Promise<Directory> {
    return new Directory(options, await load(options.url));
  }

  /** From now on others know of this node, which is reached at the address. If the directory is away, that comes later. */
  async start(address: NodeAddress): Promise<void> {
    this.#address = address;
    const connected = this.#connect();
    connected.catch((error: Error) => this.#away(error));
    this.#timer = setInterval(() => void this.#beat(), (this.#options.lease * 1000) / BEATS);
    await within(PATIENCE, connected).catch(() => {});
    if (!this.#there)
      this.#options.log.error({}, 'the directory cannot be reached yet: lines of other nodes are not known');
  }

  /** Says goodbye: others give this node's lines up at once. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    try {
      const down = this.#options.hub.ours.map(({ place }): News => ({ down: place.id }));
      if (this.#there) await within(PATIENCE, this.#write(down));
    } catch {
      // The lease will say it.
    }
    this.#there = false;
    this.#commands.destroy();
    this.#listener.destroy();
  }

  /** Names and whose they are: see SharedNames. */
  claim(name: string, owner: string): Promise<boolean> {
    return this.#names.claim(name, owner, this.#there);
  }

  /** @throws if the directory is away */
  release(name: string): Promise<void> {
    return this.#names.release(name);
  }

  // The connection

  /** Resolves when the directory is there for the first time. */
  async #connect(): Promise<void> {
    await Promise.all([this.#commands.connect(), this.#listener.connect()]);
    // From now on the client subscribes again by itself when it has to connect again.
    await this.#listener.subscribe(this.#channel, text => this.#hear(text));
    this.#subscribed = true;
    await this.#arrived();
  }

  /** Both connections are needed; each has its own word for that. */
  async #arrived(): Promise<void> {
    const ready = this.#subscribed && this.#commands.isReady && this.#listener.isReady;
    if (!ready || this.#there || this.#stopped) return;
    this.#there = true;
    this.#beating = false;
    this.#replica.calm();
    this.#options.log.info({}, 'the directory is there');
    try {
      await this.#renew();
      await this.#names.share();
      for (const id of await this.#commands.sMembers(PLACES)) if (!this.#versions.has(id)) this.#replica.look(id);
    } catch (error) {
      this.#options.log.warn({ reason: reason(error) }, 'the directory could not be read; with the next beat again');
      this.#stale = true;
    }
  }

  #away(error: Error): void {
    if (!this.#there || this.#stopped) return;
    this.#there = false;
    this.#stale = true;
    this.#options.log.error(
      { reason: reason(error) },
      'the directory is away: what is known of other nodes stays as it is',
    );
  }

  // What is ours

  /** Still here, all of us. */
  async #beat(): Promise<void> {
    if (!this.#there || this.#beating) return;
    this.#beating = true;
    try {
      const all = this.#options.hub.ours.map(({ place: { id } }) => id);
      const extended = this.#commands.multi();
      for (const id of all) extended.pExpire(placeKey(id), this.#options.lease * 1000);
      // A directory that was emptied has none of them.
      if (all.length > 0 && ((await extended.exec()) as unknown[]).some(found => Number(found) === 0))
        this.#stale = true;
      if (this.#stale) await this.#renew();
      this.#publish({ node: this.#node, beat: all.map(id => [id, this.#versions.get(id) ?? 0]) });
    } catch {
      this.#beating = false;
      this.#stale = true;
    }
  }

  /** Writes all that there is. */
  async #renew(): Promise<void> {
    this.#stale = false;
    for (const holding of this.#options.hub.ours) await this.#whole(holding);
  }

  async #whole({ place, providers }: Holding): Promise<void> {
    const { id } = place;
    const key = placeKey(id);
    const version = this.#next(id);
    const fields = Object.fromEntries(providers.map(provider => [provider.id, JSON.stringify(provider)]));
    await this.#commands
      .multi()
      .del(key)
      .hSet(key, { ...fields, [PLACE]: this.#public(place), version: String(version) })
      .pExpire(key, this.#options.lease * 1000)
      .sAdd(PLACES, id)
      .publish(this.#channel, note({ place: id, version }))
      .exec();
  }

  /** What has changed here; while the directory is away nothing is kept, because all is written when it is back. */
  async #tell(news: News[]): Promise<void> {
    if (!this.#there || this.#stale) return;
    try {
      await this.#write(news);
    } catch {
      this.#stale = true;
    }
  }

  async #write(news: readonly News[]): Promise<void> {
    const byPlace = new Map<string, News[]>();
    for (const item of news) {
      const id = 'up' in item ? item.up.id : 'down' in item ? item.down : item.provider.place;
      byPlace.set(id, [...(byPlace.get(id) ?? []), item]);
    }
    await Promise.all(Array.from(byPlace, ([id, items]) => this.#change(id, items)));
  }

  async #change(id: string, news: readonly News[]): Promise<void> {
    const key = placeKey(id);
    if (news.some(item => 'down' in item)) {
      this.#versions.delete(id);
      await this.#commands
        .multi()
        .del(key)
        .sRem(PLACES, id)
        .publish(this.#channel, note({ gone: id }))
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
    const change = this.#commands.multi().hSet(key, fields);
    if (without.length > 0) change.hDel(key, without);
    const told = news.filter(item => 'provider' in item);
    await change
      .pExpire(key, this.#options.lease * 1000)
      .sAdd(PLACES, id)
      .publish(this.#channel, note({ place: id, version, news: told }))
      .exec();
  }

  #next(id: string): number {
    const version = (this.#versions.get(id) ?? 0) + 1;
    this.#versions.set(id, version);
    return version;
  }

  /** A place as others know it. */
  #public({ id, worker }: Place): string {
    return JSON.stringify({ id, worker, node: this.#address });
  }

  // What others say

  async #read(id: string) {
    const fields = await within(PATIENCE, this.#commands.hGetAll(placeKey(id)));
    if (Object.keys(fields).length === 0) {
      // Its lease has ended.
      await this.#commands.sRem(PLACES, id);
      return undefined;
    }
    return parseRecord(id, fields);
  }

  #hear(text: string): void {
    const heard = parseNote(text);
    if (heard === undefined) this.#options.log.warn({}, 'something in the directory makes no sense');
    else if ('beat' in heard) {
      if (heard.node === this.#node) {
        this.#beating = false;
        this.#replica.beat();
      } else for (const [place, version] of heard.beat) this.#replica.hear({ place, version });
    } else if ('released' in heard) this.#options.registry.release(heard.released);
    else if ('gone' in heard) this.#replica.leave(heard.gone);
    else if (!this.#versions.has(heard.place)) this.#replica.hear(heard);
  }

  #publish(message: Note): void {
    this.#commands.publish(this.#channel, note(message)).catch(() => {
      this.#beating = false;
      this.#stale = true;
    });
  }
}
