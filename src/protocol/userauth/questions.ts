// What the owner of a server is asked about a sign-in, and what they answer (RFC 4252, RFC 4256).
import type { Presence } from '../../crypto/provider.ts';

/** One question of keyboard-interactive (RFC 4256 §3.2). */
export interface Prompt {
  /** What to show before the input, "Password: "; from a server untrusted text. */
  readonly text: string;
  /** Show what the user types. */
  readonly echo: boolean;
}

/**
 * What the server's owner is asked. `publickey-query` ("would this key do?") must have no effect; `publickey` comes only after the
 * signature over this very session has been verified, and with it whether a security token was touched. Either may have effects only
 * where nothing else can keep the user out: with `require` a method that follows can, so grants belong into what happens after sign-in.
 */
export type AuthQuestion = { readonly user: string } & (
  | { readonly method: 'none' }
  | {
      readonly method: 'publickey-query' | 'publickey';
      readonly algorithm: string;
      /** The key's blob; with an algorithm for certificates that is the certificate, of which nothing has been checked. */
      readonly key: Uint8Array;
      /** Of a signature by a security token, which has been verified: whether somebody was there. A query has it if nobody was. */
      readonly presence?: Presence;
    }
  | { readonly method: 'password'; readonly password: string; readonly newPassword?: string }
  | { readonly method: 'keyboard-interactive'; readonly submethods: string; readonly responses?: readonly string[] }
);

/** What the owner answers; each result is for the questions that it says, and `reject` (USERAUTH_FAILURE) for all. */
export type AuthAnswer =
  /**
   * Refused; with `fault` because something failed here, which is not held against the user's address. `reason`, a clause that names
   * the rule ("the key expired in May"), is for the server's log; leave it out if that has it already.
   */
  | { readonly result: 'reject'; readonly fault?: boolean; readonly reason?: string }
  /** Signed in; for a query: this key would do. `banner` is shown to the user before anything else. */
  | { readonly result: 'accept'; readonly banner?: string; readonly untouched?: boolean }
  /**
   * This step succeeded, and one of `methods` must follow (RFC 4252 §5.1), as a list in `ServerAuthOptions.require` says: without
   * such a list what follows would let in by itself, so the step is refused, as a fault of this program. Here and in `accept`, a
   * signature by a security token that nobody touched counts as none, unless the answers to both questions, the query and
   * the proof, have `untouched: true`.
   */
  | { readonly result: 'partial'; readonly methods: readonly string[]; readonly untouched?: boolean }
  /** keyboard-interactive: ask the user this; its question comes again with `responses`. */
  | {
      readonly result: 'prompt';
      readonly name?: string;
      readonly instruction?: string;
      readonly prompts: readonly Prompt[];
    }
  /** password: it has expired; ask for a new one. */
  | { readonly result: 'change-password'; readonly prompt: string };
