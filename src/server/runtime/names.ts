// Host names of forwarding: looked up as the system does it (/etc/hosts included), a few at a time, so that no peer has all threads for itself.
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { formatAddress, parseAddress } from '../../crypto/keys/ip-address.ts';

/** Look-ups at once: half of the threads that Node has for them (libuv's four), which files are read with, too. */
const MAX_LOOKUPS = 2;
/** Longest name, in characters (RFC 1035 §2.3.4). */
export const MAX_NAME = 255;

/** One who has look-ups to be made. */
interface Asker {
  /** Those that wait, in their order. */
  readonly waiting: Set<() => void>;
  /** One is under way. */
  active: boolean;
}

/** Looks names up: one at a time for each asker, the askers in turn, and MAX_LOOKUPS for all. */
export class Names {
  readonly #lookup: (host: string) => Promise<readonly { address: string }[]>;
  readonly #limit: number;
  /** Those with something waiting or under way; whoever had a turn goes to the end. */
  readonly #askers = new Map<object, Asker>();
  #active = 0;

  /** @param find the system's way, and `limit` the look-ups at once; both for tests */
  constructor(find = (host: string) => lookup(host, { all: true }), limit = MAX_LOOKUPS) {
    this.#lookup = find;
    this.#limit = limit;
  }

  /** Look-ups that are under way. */
  get active(): number {
    return this.#active;
  }

  /**
   * The addresses of a host, best first. An address needs no look-up. "Any address", which systems connect to this host, is
   * given as its loopback address.
   * @param asker whoever is to share with others: a connection
   * @param signal what waits is given up when it is aborted
   * @throws the system's error, ENOTFOUND for what can be no name; the reason of `signal`
   */
  async addresses(host: string, asker: object, signal?: AbortSignal): Promise<string[]> {
    signal?.throwIfAborted();
    if (isIP(host)) return [plain(host)];
    if (host === '' || host.length > MAX_NAME || /[\s\p{Cc}]/u.test(host))
      throw Object.assign(new Error('there is no such host name'), { code: 'ENOTFOUND' });
    await this.#turn(asker, signal);
    try {
      const found = await this.#lookup(host);
      return [...new Set(found.map(({ address }) => plain(address)))];
    } finally {
      this.#active--;
      const own = this.#askers.get(asker);
      if (own !== undefined) own.active = false;
      this.#next();
    }
  }

  #turn(key: object, signal: AbortSignal | undefined): Promise<void> {
    let asker = this.#askers.get(key);
    if (asker === undefined) {
      asker = { waiting: new Set(), active: false };
      this.#askers.set(key, asker);
    }
    const { waiting } = asker;
    return new Promise((resolve, reject) => {
      const go = () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const abort = () => {
        waiting.delete(go);
        this.#next();
        reject(signal!.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      waiting.add(go);
      this.#next();
    });
  }

  /** Whoever may is let go on, and goes to the end of the line. */
  #next(): void {
    for (const [key, asker] of [...this.#askers]) {
      const [go] = asker.waiting;
      if (go === undefined) {
        if (!asker.active) this.#askers.delete(key);
        continue;
      }
      if (asker.active || this.#active >= this.#limit) continue;
      this.#active++;
      asker.active = true;
      asker.waiting.delete(go);
      this.#askers.delete(key);
      this.#askers.set(key, asker);
      go();
    }
  }
}

/** For all forwarding of this process. */
export const names = new Names();

/** An address as it is judged and connected to: canonical, IPv4 in IPv6 as IPv4, and "any" as loopback. */
function plain(address: string): string {
  const ip = parseAddress(address);
  // A zone says which way to go.
  if (ip === undefined || address.includes('%')) return address;
  if (ip.some(byte => byte !== 0)) return formatAddress(ip);
  return ip.length === 4 ? '127.0.0.1' : '::1';
}
