// The directory that several switchboards share, in Redis: who is there, what has changed, names and whose they are, bans and invitations; and whether it can be reached.

import { randomBytes } from 'node:crypto';
import { detached, faultFields } from '../../server/detached.ts';
import { reason } from '../../server/runtime/reason.ts';
import type { Logger } from '../../server/server.ts';
import type { Hub } from './hub.ts';
import type { News, NodeAddress } from './lines.ts';
import { PLACES, Publisher, placeKey } from './publisher.ts';
import { type Client, type Create, channelOf, fits, load, note, PATIENCE, within } from './redis.ts';
import type { Registry } from './registry.ts';
import { BEATS, Replica } from './replica.ts';
import { type Rule, Seal } from './rules.ts';
import { type Note, parseNote, parseRecord } from './shapes.ts';
import { SharedNames } from './shared-names.ts';
import { SharedRules } from './shared-rules.ts';

/** Milliseconds between attempts to connect, at most. */
const RETRY = 1000;

export interface DirectoryOptions {
  /** redis://[user:password@]host[:port][/database], or rediss:// for TLS. */
  readonly url: string;
  /** Seconds after which lines of a node that is silent are given up. */
  readonly lease: number;
  readonly hub: Hub;
  readonly registry: Registry;
  /** That of aliases: what others say of bans and invitations counts only if they have it, too. */
  readonly secret: Uint8Array;
  readonly log: Logger;
  /** Others have made bans: somebody may have to go. */
  banned(): void;
}

export class Directory {
  readonly #options: DirectoryOptions;
  readonly #commands: Client;
  readonly #listener: Client;
  readonly #channel: string;
  /** This node among all. */
  readonly #node = randomBytes(8).toString('hex');
  readonly #replica: Replica;
  readonly #ours: Publisher;
  readonly #names: SharedNames;
  readonly #rules: SharedRules;
  #timer: NodeJS.Timeout | undefined;
  #subscribed = false;
  /** Commands may be given. */
  #there = false;
  /** What the directory has of us may not be what there is. */
  #stale = true;
  /** What others have of names, bans and invitations is not what we have. */
  #unshared = true;
  #sharing = false;
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
    const shared = { ...options, commands: this.#commands, channel: this.#channel };
    this.#ours = new Publisher(shared);
    this.#names = new SharedNames(shared);
    this.#rules = new SharedRules({ ...shared, seal: new Seal(options.secret) });
    options.registry.ruled = rule => this.rule(rule);
    this.#replica = new Replica({
      learn: news => hub.learn(news),
      read: id => this.#read(id),
      failed: error => options.log.error(faultFields(error), 'what others say could not be heeded'),
    });
    hub.share(news => this.#tell(news));
    for (const client of [this.#commands, this.#listener]) {
      client.on('error', (error: Error) => this.#away(error));
      client.on('end', () => this.#away(new Error('the connection has ended')));
      client.on('ready', () => detached(this.#arrived(), options.log, 'the directory could not be read'));
    }
  }

  /** @throws StateError without the package, or if the URL is none */
  static async open(options: DirectoryOptions): Promise<Directory> {
    return new Directory(options, await load(options.url));
  }

  /** From now on others know of this node, which is reached at the address. If the directory is away, that comes later. */
  async start(address: NodeAddress): Promise<void> {
    this.#ours.address = address;
    const connected = this.#connect();
    connected.catch((error: Error) => this.#away(error));
    const beat = () => detached(this.#beat(), this.#options.log, 'no beat could be sent to the directory');
    this.#timer = setInterval(beat, (this.#options.lease * 1000) / BEATS);
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
      if (this.#there) await this.#ours.write(down);
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

  // Bans and invitations: see SharedRules

  /** A process of this switchboard has made one, or ended it. */
  rule(rule: Rule): void {
    if (!this.#there) return; // all is told when it is back
    this.#rules.tell(rule).catch(() => {
      this.#unshared = true;
    });
  }

  redeem(hash: string): Promise<boolean> {
    return this.#rules.redeem(hash);
  }

  giveBack(hash: string): Promise<void> {
    return this.#rules.giveBack(hash);
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
      await fits(this.#commands, PLACES);
      const places = await within(PATIENCE, this.#commands.sMembers(PLACES));
      for (const id of places) if (!this.#ours.versions.has(id)) this.#replica.look(id);
    } catch (error) {
      this.#options.log.warn({ reason: reason(error) }, 'the directory could not be read; with the next beat again');
      this.#stale = true;
    }
    await this.#share();
  }

  #away(error: Error): void {
    if (!this.#there || this.#stopped) return;
    this.#there = false;
    this.#stale = true;
    this.#unshared = true;
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
      // A directory that was emptied has none of them.
      if (!(await this.#ours.extend(all))) this.#stale = true;
      if (this.#stale) {
        this.#unshared = true;
        await this.#renew();
      }
      this.#publish({ node: this.#node, beat: all.map(id => [id, this.#ours.versions.get(id) ?? 0]) });
      if (this.#unshared) await this.#share();
    } catch {
      this.#beating = false;
      this.#stale = true;
    }
  }

  /** Writes all that there is. */
  async #renew(): Promise<void> {
    this.#stale = false;
    await this.#ours.renew(this.#options.hub.ours);
  }

  /** Names, bans and invitations, there and back. What goes wrong with them does not stop the beat. */
  async #share(): Promise<void> {
    if (this.#sharing || !this.#there) return;
    this.#sharing = true;
    this.#unshared = false;
    try {
      await this.#names.share();
      await this.#rules.share();
    } catch (error) {
      this.#unshared = true;
      this.#options.log.warn({ reason: reason(error) }, 'names and bans could not be shared; with the next beat again');
    }
    this.#sharing = false;
  }

  /** What has changed here; while the directory is away nothing is kept, because all is written when it is back. */
  async #tell(news: News[]): Promise<void> {
    if (!this.#there || this.#stale) return;
    try {
      await this.#ours.write(news);
    } catch {
      this.#stale = true;
    }
  }

  // What others say

  async #read(id: string) {
    await fits(this.#commands, placeKey(id));
    const fields = await within(PATIENCE, this.#commands.hGetAll(placeKey(id)));
    if (Object.keys(fields).length === 0) {
      // Its lease has ended.
      await within(PATIENCE, this.#commands.sRem(PLACES, id));
      return undefined;
    }
    return parseRecord(id, fields, Date.now());
  }

  #hear(text: string): void {
    const heard = parseNote(text, Date.now());
    if (heard === undefined) return this.#options.log.warn({}, 'something in the directory makes no sense');
    this.#heed(heard).catch((error: unknown) => {
      // Our own file may be in use, or the disk full.
      this.#options.log.warn({ reason: reason(error) }, 'what others say could not be kept; it is read again');
      this.#unshared = true;
    });
  }

  /** What is to be kept is kept before this returns, or not at all: nothing that comes waits, and what comes later stays later. */
  async #heed(heard: Note): Promise<void> {
    const { registry } = this.#options;
    if ('beat' in heard) {
      if (heard.node === this.#node) {
        this.#beating = false;
        this.#replica.beat();
      } else
        for (const [place, version] of heard.beat)
          if (!this.#ours.versions.has(place)) this.#replica.hear({ place, version });
    } else if ('released' in heard) await registry.release(heard.released, 0);
    else if ('claimed' in heard) await registry.learnNames([[heard.claimed, heard.owner]]);
    else if ('rule' in heard) await this.#rules.hear(heard.rule, heard.sealed);
    else if ('gone' in heard) this.#replica.leave(heard.gone);
    else if (!this.#ours.versions.has(heard.place)) this.#replica.hear(heard);
  }

  #publish(message: Note): void {
    this.#commands.publish(this.#channel, note(message)).catch(() => {
      this.#beating = false;
      this.#stale = true;
    });
  }
}
