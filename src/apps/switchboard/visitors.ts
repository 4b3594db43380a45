// Who wants to sign in, and what becomes of it; and what only one of several processes may do.
import type { KeyOption } from '../../crypto/keys/index.ts';
import type { Presence } from '../../crypto/provider.ts';
import type { Eventually } from '../../protocol/index.ts';
import type { Grant } from './grants.ts';

/** Somebody who wants to sign in. */
export interface Visitor {
  /** Public key blob or certificate. */
  readonly key: Uint8Array;
  /** As he gives it: "alice", or "alice+code" with an invitation. */
  readonly user: string;
  readonly address: string;
  /** Of that address, verified, if names are looked up. */
  readonly hostName?: string;
  /** Of a signature by a security token. */
  readonly presence?: Presence;
}

/** Somebody who stays out: why, for the log, and whether something has failed here, which is not held against anybody. */
export interface Refused {
  readonly refused: string;
  readonly fault?: boolean;
}

/** Somebody who has signed in. */
export interface Admitted {
  readonly grant: Grant;
  /** His key has come into the file by this; `by` has invited him. */
  readonly enrolled?: { readonly by?: string };
}

/** What there may be one of only: who writes the file, and who remembers what security tokens have counted. */
export interface Keeper {
  /** Enrols a key whose owner has proved to be one; with the options given, because he was invited. False if it may not, or cannot, be. */
  enrol(key: Uint8Array, user: string, address: string, options?: readonly KeyOption[]): Eventually<boolean>;
  /** Notes the number in a signature; `key` is a fingerprint. False if there must be a copy of the token. */
  count(key: string, counter: number): Eventually<boolean>;
  /** Whether an invitation, by the hash of its code, may be used here and now; once it may, nobody else may. */
  redeem(hash: string): Eventually<boolean>;
  /** The invitation was not used after all. */
  giveBack(hash: string): Eventually<void>;
}

/** A line that enrolment has appended to the file, and the file's version before and after. */
export interface Appended {
  readonly line: string;
  readonly before: string;
  readonly after: string;
}
