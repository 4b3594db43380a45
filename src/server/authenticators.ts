// Sign-in methods as values: a Server is given a list of them, and what is not in the list does not exist (RFC 4252, RFC 4256).
import type { Presence } from '../crypto/provider.ts';
import type { Eventually } from '../protocol/channels/answers.ts';
import type { AuthAnswer, AuthQuestion, Prompt } from '../protocol/userauth/questions.ts';
import type { Client } from './server.ts';

/** One sign-in method. `answer` hears only questions of its own method; of several with the same, each until one does not reject. */
export interface Authenticator {
  /** Its name on the wire: none, publickey, password, keyboard-interactive. */
  readonly method: string;
  /** Decides, now or later; while it thinks, nothing more is read from the client. What it throws refuses, and is logged. */
  answer(question: AuthQuestion, client: Client): Eventually<AuthAnswer>;
}

const verdict = (accepted: boolean | AuthAnswer): AuthAnswer =>
  typeof accepted === 'boolean' ? { result: accepted ? 'accept' : 'reject' } : accepted;

/** A public key that somebody wants to sign in with. */
export interface OfferedKey {
  /** The name to sign in with; printable, 255 characters at most; untrusted. */
  readonly user: string;
  /** What it signs, or is to sign, with: "rsa-sha2-512". */
  readonly algorithm: string;
  /** Public key blob (RFC 4253 §6.6); with an algorithm for certificates a certificate, of which nothing has been checked. */
  readonly key: Uint8Array;
  /** Of a signature by a security token. One that was not touched counts only if both answers say `untouched: true`. */
  readonly presence?: Presence;
}

/**
 * Sign-in by public key, for those who have a list of their own (for authorized_keys lines see `authorizedKeys`).
 * Two different questions, on purpose:
 * `acceptable` is asked for keys that anyone may name without owning them, so it must have no effect at all;
 * `proven` only after the signature was verified, and it alone may store, name or grant anything. It is not called for a
 * signature by a security token that nobody touched, unless `acceptable` has answered `{ result: 'accept', untouched: true }`. Where
 * `ServerOptions.require` has another method follow, what may be granted only then belongs into `ServerOptions.signedIn`.
 */
export function publicKeys(checks: {
  acceptable(offer: OfferedKey, client: Client): Eventually<boolean | AuthAnswer>;
  proven(offer: OfferedKey, client: Client): Eventually<boolean | AuthAnswer>;
}): Authenticator {
  return {
    method: 'publickey',
    async answer(question, client) {
      if (question.method === 'publickey-query') return verdict(await checks.acceptable(question, client));
      if (question.method === 'publickey') return verdict(await checks.proven(question, client));
      return { result: 'reject' };
    },
  };
}

/** Sign-in by password. */
export function passwords(
  check: (user: string, password: string, client: Client, newPassword?: string) => Eventually<boolean | AuthAnswer>,
): Authenticator {
  return {
    method: 'password',
    async answer(question, client) {
      if (question.method !== 'password') return { result: 'reject' };
      return verdict(await check(question.user, question.password, client, question.newPassword));
    },
  };
}

/** Sign-in by questions and answers: `prompts` are asked once, `check` gets the answers and decides, or prompts again. */
export function keyboardInteractive(
  prompts: readonly Prompt[],
  check: (user: string, responses: readonly string[], client: Client) => Eventually<boolean | AuthAnswer>,
): Authenticator {
  return {
    method: 'keyboard-interactive',
    async answer(question, client) {
      if (question.method !== 'keyboard-interactive') return { result: 'reject' };
      if (question.responses === undefined) return { result: 'prompt', prompts };
      return verdict(await check(question.user, question.responses, client));
    },
  };
}
