// Host names of clients for `from=`: what the resolver says of an address, if the name leads back to it (sshd_config(5), UseDNS).
import { lookup, lookupService } from 'node:dns/promises';

/** Milliseconds that a resolver may take; sign-in waits for it. */
const PATIENCE = 3000;
/** Milliseconds for which an answer counts, and how many are kept. */
const FRESH = 60_000;
const MAX_KEPT = 10_000;

export class HostNames {
  readonly #kept = new Map<string, { readonly at: number; readonly name: Promise<string | undefined> }>();

  /** The verified name, or undefined if there is none, or nobody could say in time. */
  of(address: string): Promise<string | undefined> {
    const kept = this.#kept.get(address);
    if (kept !== undefined && performance.now() - kept.at < FRESH) return kept.name;
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    const name = Promise.race([verified(address), silence()]);
    this.#kept.set(address, { at: performance.now(), name });
    return name;
  }
}

async function verified(address: string): Promise<string | undefined> {
  try {
    const { hostname } = await lookupService(address, 22);
    const all = await lookup(hostname, { all: true });
    return all.some(found => found.address === address) ? hostname : undefined;
  } catch {
    return undefined; // a name that cannot be found out is none
  }
}

const silence = () => new Promise<undefined>(resolve => setTimeout(() => resolve(undefined), PATIENCE).unref());
