// Who may connect now: penalties for addresses that misbehaved before, and random early drop (what sshd_config(5) calls PerSourcePenalties and MaxStartups).
import { parseAddress } from '../crypto/keys/ip-address.ts';
import type { Random } from '../crypto/provider.ts';

/** What an address is penalised for. */
export type Offence =
  /** It left without trying to sign in (port scanners; health checks too). */
  | 'noauth'
  /** It tried to sign in and did not succeed. */
  | 'authfail'
  /** It was not signed in when the login grace time was over. */
  | 'grace'
  /** It broke the protocol before it had signed in. (What makes this program fail is this program's fault, and counts for nothing.) */
  | 'crash';

/** OpenSSH's PerSourcePenalties; seconds, of which 0 switches one off. They add up. */
export interface PenaltyTimes {
  /** For leaving without trying to sign in. */
  readonly noauth: number;
  /** For trying, and not succeeding. */
  readonly authfail: number;
  /** For not being signed in when the login grace time is over. */
  readonly grace: number;
  /** For breaking the protocol before signing in. */
  readonly crash: number;
  /** Nothing is refused before the penalties of an address have come to this. */
  readonly min: number;
  /** And nobody for longer than this. */
  readonly max: number;
}

/** The defaults of OpenSSH 10. */
export const PENALTIES: PenaltyTimes = { noauth: 1, authfail: 5, grace: 10, crash: 90, min: 15, max: 600 };

/** OpenSSH's MaxStartups "begin:rate:full": connections that are not signed in; `begin` and `rate` hold for each source by itself. */
export interface StartupLimits {
  /** From so many of one source on, some of its new ones are refused at random … */
  readonly begin: number;
  /** … `rate` percent of them at first, rising to all at `full`. */
  readonly rate: number;
  /** With so many of all sources, each new one takes the place of the one of the busiest source that has waited longest. */
  readonly full: number;
}

/** OpenSSH's default. */
export const STARTUPS: StartupLimits = { begin: 10, rate: 30, full: 100 };

/** Addresses that are remembered (OpenSSH's figure): some 10 MB. Beyond, those whose penalty ends first are forgotten. */
const MAX_SOURCES = 65_536;

/** Penalties by source address. Times are seconds of a clock that its owner keeps. */
export class Penalties {
  readonly #times: PenaltyTimes;
  /** In the order in which they were last added to. */
  readonly #sources = new Map<string, Penalty>();

  constructor(times: PenaltyTimes = PENALTIES) {
    this.#times = times;
  }

  /** Sources that are remembered. */
  get size(): number {
    return this.#sources.size;
  }

  /** Adds the penalty for `offence` to what the address has left. Loopback is exempt: there everyone shares one address. */
  add(address: string, offence: Offence, now: number): void {
    const { min, max, [offence]: seconds } = this.#times;
    if (seconds <= 0 || isLoopback(address)) return;
    const key = sourceOf(address);
    const known = this.#sources.get(key);
    const left = Math.max(0, (known?.until ?? 0) - now);
    const total = Math.min(left + seconds, max);
    // Last in the order again.
    this.#sources.delete(key);
    if (this.#sources.size >= MAX_SOURCES) this.#forget(now);
    this.#sources.set(key, { until: now + total, active: total >= min || (left > 0 && known!.active) });
  }

  /** Seconds for which connections from the address are refused; 0 if they are not. */
  remaining(address: string, now: number): number {
    const known = this.#sources.get(sourceOf(address));
    return known?.active ? Math.max(0, known.until - now) : 0;
  }

  /** Makes room: drops what is over, and if that is nothing, the oldest. */
  #forget(now: number): void {
    for (const [key, { until }] of this.#sources) if (until <= now) this.#sources.delete(key);
    for (const key of this.#sources.keys()) {
      if (this.#sources.size < MAX_SOURCES) return;
      this.#sources.delete(key);
    }
  }
}

interface Penalty {
  readonly until: number;
  /** It has reached `min` once; then it counts to its end. */
  readonly active: boolean;
}

/**
 * Whether one more connection is refused while `count` are not signed in: never below `begin`, always from `full` on,
 * between them with a probability that rises from `rate` percent to 100 (sshd_config(5), MaxStartups).
 */
export function dropsEarly(count: number, { begin, rate, full }: StartupLimits, random: Random): boolean {
  if (count >= full) return true;
  if (count < begin) return false;
  const percent = rate + ((100 - rate) * (count - begin)) / (full - begin);
  const [high, low] = random(new Uint8Array(2));
  return ((high << 8) | low) / 65_536 < percent / 100;
}

/** Who counts as one source: an IPv4 address, or an IPv6 /64, of which anyone may have all addresses. */
export function sourceOf(address: string): string {
  const ip = parseAddress(address);
  return ip === undefined ? address : ip.subarray(0, ip.length === 4 ? 4 : 8).join('.');
}

/** 127.0.0.0/8 and ::1. */
export function isLoopback(address: string): boolean {
  const ip = parseAddress(address);
  if (ip === undefined) return false;
  return ip.length === 4 ? ip[0] === 127 : ip[15] === 1 && ip.subarray(0, 15).every(byte => byte === 0);
}
