// The list of bans in memory: what a sign-in asks is answered by a look-up for each length of prefix, however many bans there are.
import { parseAddress, parseNetworks } from '../../crypto/keys/index.ts';
import type { Ban } from './rules.ts';

export class BanList {
  readonly #bySubject = new Map<string, Ban>();
  /** Of bans of addresses and networks: the subjects by the prefix that they are about. */
  readonly #byPrefix = new Map<string, Set<string>>();
  /** How many prefixes there are of each kind and length: "4/24". There are 162 of those at most. */
  readonly #lengths = new Map<string, number>();

  /** Those that there are, also those that are over and not forgotten yet. */
  get size(): number {
    return this.#bySubject.size;
  }

  /** Look-ups that one address costs. */
  get cost(): number {
    return this.#lengths.size;
  }

  /** The ban of this very subject, be it over or not. */
  of(subject: string): Ban | undefined {
    return this.#bySubject.get(subject);
  }

  /** All, in no order. */
  all(): IterableIterator<Ban> {
    return this.#bySubject.values();
  }

  /** In place of what there is of the subject. */
  put(ban: Ban): void {
    const { subject } = ban;
    if (!this.#bySubject.has(subject)) for (const prefix of prefixesIn(subject)) this.#enter(prefix, subject);
    this.#bySubject.set(subject, ban);
  }

  /** There is none of the subject any more. */
  delete(subject: string): void {
    if (!this.#bySubject.delete(subject)) return;
    for (const prefix of prefixesIn(subject)) this.#withdraw(prefix, subject);
  }

  /** There are none any more. */
  clear(): void {
    for (const subject of [...this.#bySubject.keys()]) this.delete(subject);
  }

  /** A ban that holds now, of one of the subjects or of a network with the address; of several the first, and the narrowest. */
  holding(subjects: readonly string[], address: string | undefined, now: number): Ban | undefined {
    for (const subject of subjects) {
      const ban = this.#bySubject.get(subject);
      if (ban !== undefined && holds(ban, now)) return ban;
    }
    return address === undefined ? undefined : this.#holdingAt(address, now);
  }

  #holdingAt(address: string, now: number): Ban | undefined {
    const ip = this.#lengths.size === 0 ? undefined : parseAddress(address);
    if (ip === undefined) return undefined;
    for (let bits = ip.length * 8; bits >= 0; bits--) {
      if (!this.#lengths.has(lengthOf(ip, bits))) continue;
      for (const subject of this.#byPrefix.get(prefixOf(ip, bits)) ?? []) {
        const ban = this.#bySubject.get(subject)!;
        if (holds(ban, now)) return ban;
      }
    }
    return undefined;
  }

  #enter({ key, length }: Prefix, subject: string): void {
    const subjects = this.#byPrefix.get(key);
    if (subjects !== undefined) return void subjects.add(subject);
    this.#byPrefix.set(key, new Set([subject]));
    this.#lengths.set(length, (this.#lengths.get(length) ?? 0) + 1);
  }

  #withdraw({ key, length }: Prefix, subject: string): void {
    const subjects = this.#byPrefix.get(key);
    if (!subjects?.delete(subject) || subjects.size > 0) return;
    this.#byPrefix.delete(key);
    const left = this.#lengths.get(length)! - 1;
    if (left > 0) this.#lengths.set(length, left);
    else this.#lengths.delete(length);
  }
}

/** Whether the ban is not over. */
export const holds = ({ until }: Ban, now: number): boolean => until === undefined || until > now;

interface Prefix {
  readonly key: string;
  readonly length: string;
}

/** What a subject is about; nothing if it is a key or an owner. */
function prefixesIn(subject: string): Prefix[] {
  if (subject.startsWith('SHA256:')) return [];
  const networks = parseNetworks(subject);
  if (typeof networks === 'string') return [];
  return networks.flatMap(({ network }) =>
    network === undefined
      ? []
      : [{ key: prefixOf(network.bytes, network.bits), length: lengthOf(network.bytes, network.bits) }],
  );
}

const lengthOf = (ip: Uint8Array, bits: number): string => `${ip.length}/${bits}`;

/** The first bits of an address, and how many they are. */
function prefixOf(ip: Uint8Array, bits: number): string {
  let key = lengthOf(ip, bits);
  for (let i = 0; i < Math.ceil(bits / 8); i++) {
    key += ` ${ip[i] & (0xff00 >> Math.min(8, bits - i * 8))}`;
  }
  return key;
}
