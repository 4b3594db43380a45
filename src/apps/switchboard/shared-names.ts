// Names and whose they are, for all switchboards that share a directory: it has the word, and each keeps what it has learnt for when it is away.

import { reason } from '../../server/runtime/reason.ts';
import type { Logger } from '../../server/server.ts';
import { isOwner, isSince } from './fields.ts';
import { type Client, channelOf, load, note, PAGE, PATIENCE, pages, within } from './redis.ts';
import { type Claim, PATIENCE_FOR_NAMES, type Registry } from './registry.ts';
import { isClaim } from './shapes.ts';
import { StateError } from './state.ts';

/** A hash: name → owner. */
const NAMES = 'cordboard:names';
/** A hash: name → when it was given up. Whoever has known it for longer was away then. */
const RELEASED = 'cordboard:released';

export interface SharedNamesOptions {
  readonly commands: Client;
  readonly channel: string;
  readonly registry: Registry;
  readonly log: Logger;
}

export class SharedNames {
  readonly #options: SharedNamesOptions;

  constructor(options: SharedNamesOptions) {
    this.#options = options;
  }

  /** Whether a name is the owner's, who may claim it. While the directory is away, only if it is known to be. @throws Busy */
  async claim(name: string, owner: string, there: boolean): Promise<boolean> {
    const { registry, commands, channel } = this.#options;
    if (!there) return registry.ownerOf(name) === owner;
    let fresh: boolean;
    let holder: string;
    try {
      const claimed = commands.multi().hSetNX(NAMES, name, owner).hGet(NAMES, name).exec();
      const [set, now] = await within(PATIENCE, claimed);
      fresh = Number(set) === 1;
      holder = String(now);
      if (!isOwner(holder)) return registry.ownerOf(name) === owner; // what makes no sense is nobody
    } catch {
      return registry.ownerOf(name) === owner;
    }
    try {
      const known = registry.ownerOf(name);
      if (known !== undefined && known !== holder) await registry.release(name, PATIENCE_FOR_NAMES);
      if (holder !== owner) return false;
      if (await registry.claim(name, owner)) {
        if (fresh) commands.publish(channel, note({ claimed: name, owner })).catch(() => {});
        return true;
      }
    } catch (error) {
      // Nobody here has it, so nobody has it anywhere.
      if (fresh) await this.#takeBack(name);
      throw error;
    }
    // He has too many.
    if (fresh) await this.#takeBack(name);
    return false;
  }

  async #takeBack(name: string): Promise<void> {
    await within(PATIENCE, this.#options.commands.hDel(NAMES, name)).catch(() => {});
  }

  /** The name is nobody's any more, anywhere. @throws if the directory is away */
  async release(name: string): Promise<void> {
    await within(PATIENCE, release(this.#options.commands, this.#options.channel, name));
  }

  /**
   * Names that were claimed here while there was no directory are their owners' everywhere, if nobody else was first; and those of
   * all others are known here, for when it is away.
   */
  async share(): Promise<void> {
    const { registry, commands } = this.#options;
    const claims = registry.names();
    for (let i = 0; i < claims.length; i += PAGE) await this.#claimAll(claims.slice(i, i + PAGE));
    for await (const page of pages(commands, NAMES)) await registry.learnNames(page.filter(isClaim));
  }

  async #claimAll(known: readonly Claim[]): Promise<void> {
    const { registry, log, commands } = this.#options;
    const given = await within(PATIENCE, commands.hmGet(RELEASED, namesOf(known)));
    const now = Date.now();
    const since = (i: number) => (isSince(Number(given[i]), now) ? Number(given[i]) : 0);
    const claims = known.filter(({ claimed }, i) => since(i) <= claimed);
    for (const one of known) if (!claims.includes(one)) await registry.release(one.name);
    if (claims.length === 0) return;
    const all = commands.multi();
    for (const { name, owner } of claims) all.hSetNX(NAMES, name, owner);
    await within(PATIENCE, all.exec());
    const holders = await within(PATIENCE, commands.hmGet(NAMES, namesOf(claims)));
    for (const [i, { name, owner }] of claims.entries()) {
      if (holders[i] === owner || !isOwner(holders[i])) continue;
      await registry.release(name);
      log.warn({ name, owner, holder: holders[i] }, 'a name belongs to somebody else in the directory');
    }
  }
}

const namesOf = (claims: readonly Claim[]): string[] => claims.map(({ name }) => name);

/** Releases names for somebody who is no switchboard. Returns those that nobody had. @throws StateError */
export async function releaseNames(url: string, names: readonly string[]): Promise<string[]> {
  const create = await load(url);
  const client = create({ url, socket: { reconnectStrategy: false, connectTimeout: PATIENCE } });
  client.on('error', () => {});
  try {
    await client.connect();
    const found = await Promise.all(names.map(name => release(client, channelOf(url), name)));
    return names.filter((_name, i) => !found[i]);
  } catch (error) {
    throw new StateError(`the directory cannot be reached: ${reason(error)}`);
  } finally {
    client.destroy();
  }
}

async function release(client: Client, channel: string, name: string): Promise<boolean> {
  const [found] = await client
    .multi()
    .hDel(NAMES, name)
    .hSet(RELEASED, name, String(Date.now()))
    .publish(channel, note({ released: name }))
    .exec();
  return Number(found) > 0;
}
