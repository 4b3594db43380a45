// Who of several authenticators decides: those of one method are asked in turn (RFC 4252 §5), and one that fails refuses.
import { fingerprint } from '../crypto/keys/index.ts';
import { printable, UsageError } from '../protocol/errors.ts';
import type { AuthAnswer, AuthQuestion } from '../protocol/userauth/questions.ts';
import type { AuthRefusal } from '../protocol/userauth/server.ts';
import type { Authenticator } from './authenticators.ts';
import type { Logger } from './logger.ts';
import type { Client } from './server.ts';

type Reject = AuthAnswer & { readonly result: 'reject' };

const REJECT: Reject = { result: 'reject' };
const FAULT: Reject = { result: 'reject', fault: true };
const UNTOUCHED: Reject = { result: 'reject', reason: 'the key is in a security token that nobody touched' };

/** @throws UsageError if no list can be gone through, or one of them cannot */
export function checkRequired({
  require,
  authenticators,
}: {
  readonly require?: readonly (readonly string[])[];
  readonly authenticators: readonly Authenticator[];
}): void {
  if (require === undefined) return;
  if (require.length === 0) throw new UsageError('"require" has no list, so nobody could sign in: leave it out');
  for (const list of require) {
    if (list.length === 0) throw new UsageError('a list in "require" is empty: it would let everybody in');
    const missing = list.find(method => !authenticators.some(authenticator => authenticator.method === method));
    if (missing !== undefined) throw new UsageError(`there is no authenticator for "${missing}", which "require" has`);
  }
}

/**
 * Logs a step of a sign-in. A key that is refused leaves one line, with its fingerprint and the reason; where nobody has given one,
 * or whoever refused has logged it already, that is for debugging only. `client`: what logs say of it. A connection has `maxTries` of them at most.
 */
export function logStep(log: Logger, client: object, question: AuthQuestion, answer: AuthAnswer): void {
  const { method } = question;
  const key = 'key' in question ? { key: fingerprint(question.key) } : {};
  const fields = { ...client, method, ...key };
  if (answer.result === 'reject' && answer.reason !== undefined)
    log.info(fields, `sign-in refused: ${printable(answer.reason, 500)}`);
  else if (method !== 'publickey-query' || answer.result === 'reject')
    log.debug({ ...fields, result: answer.result }, 'sign-in step');
}

/** Logs what the rules of the protocol have refused, so that no authenticator was asked; as often as `logStep`. `client`: what logs say of it. */
export function logRefusal(log: Logger, client: object, { method, algorithm, key, reason }: AuthRefusal): void {
  const fields = { ...client, method, algorithm, ...(key && { key: fingerprint(key) }) };
  log.info(fields, `sign-in refused: the key cannot be used: ${reason}`);
}

/** All authenticators of a server. */
export class Authentication {
  readonly #authenticators: readonly Authenticator[];
  readonly #failed: (error: unknown, client: Client) => void;
  /** Whose prompts a client is answering. */
  readonly #prompted = new WeakMap<Client, Authenticator>();

  /** `failed` hears what an authenticator throws, or an answer that is none. */
  constructor(authenticators: readonly Authenticator[], failed: (error: unknown, client: Client) => void) {
    this.#authenticators = authenticators;
    this.#failed = failed;
  }

  /** The answer of the first that does not reject. Never rejects itself. */
  async ask(question: AuthQuestion, client: Client): Promise<AuthAnswer> {
    const method = question.method === 'publickey-query' ? 'publickey' : question.method;
    const those = this.#authenticators.filter(authenticator => authenticator.method === method);
    const prompted = this.#prompted.get(client);
    this.#prompted.delete(client);
    const answering = question.method === 'keyboard-interactive' && question.responses !== undefined;
    // Those before the one that has prompted have rejected already; those behind it have prompts of their own.
    let refusal = REJECT;
    const reasons: string[] = [];
    const first = answering && prompted !== undefined ? those.indexOf(prompted) : 0;
    for (const [i, authenticator] of those.entries()) {
      if (i < first) continue;
      const own: AuthQuestion = answering && i > first ? { ...question, responses: undefined } : question;
      const given = await this.#one(authenticator, own, client);
      if (given.result === 'prompt') this.#prompted.set(client, authenticator);
      if (given.result !== 'reject') return given;
      // Whoever has failed might have let in.
      if (given.fault) refusal = FAULT;
      if (given.reason !== undefined) reasons.push(given.reason);
    }
    return reasons.length === 0 ? refusal : { ...refusal, reason: reasons.join('; ') };
  }

  /** Whichever way it fails, and be it by an answer that is none, it refuses. */
  async #one(authenticator: Authenticator, question: AuthQuestion, client: Client): Promise<AuthAnswer> {
    try {
      // A proof may have effects: nobody is asked about one without a touch who would not do without.
      if ('presence' in question && question.presence?.touched === false) {
        const would = await authenticator.answer({ ...question, method: 'publickey-query' }, client);
        if (would.result === 'reject') return would;
        if (would.result !== 'accept' || would.untouched !== true) return UNTOUCHED;
        if (question.method === 'publickey-query') return would;
      }
      const given = await authenticator.answer(question, client);
      if (typeof given.result !== 'string') throw new UsageError('the answer of an authenticator is none');
      return given;
    } catch (error) {
      this.#failed(error, client);
      return FAULT;
    }
  }
}
