// The roster: who is signed in to this process, and who has to go.
import { Disconnect } from '../../protocol/index.ts';
import type { Access } from './access.ts';
import type { Circuits } from './circuits.ts';
import type { Member } from './members.ts';

export class Roster {
  readonly #byOwner = new Map<string, Set<Member>>();

  get all(): Member[] {
    return [...this.#byOwner.values()].flatMap(members => [...members]);
  }

  /** The connections of one owner. */
  of(owner: string): Member[] {
    return [...(this.#byOwner.get(owner) ?? [])];
  }

  enter(it: Member): void {
    this.#byOwner.set(it.owner, (this.#byOwner.get(it.owner) ?? new Set()).add(it));
  }

  leave(it: Member): void {
    const same = this.#byOwner.get(it.owner);
    same?.delete(it);
    if (same?.size === 0) this.#byOwner.delete(it.owner);
  }

  /** Ends the connections with these ids. */
  kick(ids: readonly string[], reason: string): void {
    const wanted = new Set(ids);
    this.#end(({ id }) => wanted.has(id), reason);
  }

  /** Ends connections of those who would not be let in any more: all of them, or this one. */
  recheck(access: Access, one?: Member): void {
    const reason = 'your key is not let in any more';
    if (one === undefined) this.#end(({ visitor }) => !access.stillGood(visitor), reason);
    else if (!access.stillGood(one.visitor)) end(one, reason);
  }

  /** Ends all connections but those that have circuits. */
  release({ busy }: Circuits, reason: string): void {
    this.#end(({ id }) => !busy.has(id), reason);
  }

  /** A second has passed: ends connections that are idle for too long, and those whose key has expired. */
  tick(now: number): void {
    for (const it of this.all) {
      const { lines, client, quotas, grant } = it;
      it.idle = lines.length === 0 && client.connection.mux.count === 0 ? it.idle + 1 : 0;
      if (quotas.clientIdle > 0 && it.idle >= quotas.clientIdle) end(it, `idle for ${it.idle} seconds`);
      else if (grant.expires !== undefined && grant.expires <= now) end(it, 'your key has expired');
    }
  }

  #end(whom: (it: Member) => boolean, reason: string): void {
    for (const it of this.all.filter(whom)) end(it, reason);
  }
}

const end = ({ client }: Member, reason: string): void =>
  client.connection.disconnect(Disconnect.BY_APPLICATION, reason);
