// Who may use the console: whoever has said the token has a session, and the browser keeps its name in a cookie.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readSecret } from '../files.ts';
import { replaceFile, StateError } from '../state.ts';

/** Bytes of chance in a token or the name of a session: not to be guessed. */
const SECRET_BYTES = 32;
/** A token of the operator's own has so many characters at least. Wrong ones are answered slowly, see `MAX_WRONG`. */
const MIN_TOKEN = 16;
/** Milliseconds that a session lasts: a working day. */
export const LASTS = 12 * 3_600_000;
/** Sessions at once; the oldest makes room. */
const MAX_SESSIONS = 64;
/** A wrong token is answered after so many milliseconds … */
const WRONG_AFTER = 1000;
/** … and while so many wait for that, no other wrong one is: eight guesses a second, from wherever they come, and the right token never waits. */
const MAX_WRONG = 8;

interface Session {
  readonly expires: number;
  /** What ends with it. */
  readonly ended: Set<() => void>;
}

/** A new token; 43 characters. */
export const newToken = (): string => randomBytes(SECRET_BYTES).toString('base64url');

/** The token in a file; a file that is not there is made, readable by its owner only. @throws StateError */
export function tokenFrom(file: string): string {
  const text = readSecret(file);
  if (text === undefined) {
    const token = newToken();
    replaceFile(file, `${token}\n`);
    return token;
  }
  const token = text.trim();
  if (token.length < MIN_TOKEN) {
    throw new StateError(`the console's token in ${file} has less than ${MIN_TOKEN} characters: it could be guessed`);
  }
  return token;
}

export class SignIns {
  readonly #token: Uint8Array;
  readonly #now: () => number;
  /** By the hash of its name, so that nobody learns one from how long a look-up takes. */
  readonly #sessions = new Map<string, Session>();
  #wrong = 0;

  constructor(token: string, now: () => number = Date.now) {
    this.#token = digest(token);
    this.#now = now;
  }

  /** Resolves to the name of a new session; 'wrong' comes late, 'busy' if too many others wait for it. */
  async signIn(token: string, wrongAfter = WRONG_AFTER): Promise<{ session: string } | 'wrong' | 'busy'> {
    if (!this.isToken(token)) {
      if (this.#wrong >= MAX_WRONG) return 'busy';
      this.#wrong++;
      await new Promise(resolve => setTimeout(resolve, wrongAfter));
      this.#wrong--;
      return 'wrong';
    }
    this.#expire();
    if (this.#sessions.size >= MAX_SESSIONS) this.#end(this.#sessions.keys().next().value!);
    const session = randomBytes(SECRET_BYTES).toString('base64url');
    this.#sessions.set(nameOf(session), { expires: this.#now() + LASTS, ended: new Set() });
    return { session };
  }

  /** Takes the same time for every wrong token. */
  isToken(token: string): boolean {
    return timingSafeEqual(digest(token), this.#token);
  }

  /** Whether the session lasts. */
  has(session: string | undefined): boolean {
    return this.#find(session) !== undefined;
  }

  /** `ended` is called when the session ends; the function that is returned takes that back. */
  onEnd(session: string | undefined, ended: () => void): () => void {
    const found = this.#find(session);
    if (found === undefined) {
      ended();
      return () => {};
    }
    const timer = setTimeout(ended, found.expires - this.#now());
    timer.unref();
    const end = () => {
      clearTimeout(timer);
      ended();
    };
    found.ended.add(end);
    return () => {
      clearTimeout(timer);
      found.ended.delete(end);
    };
  }

  signOut(session: string | undefined): void {
    if (session !== undefined) this.#end(nameOf(session));
  }

  #find(session: string | undefined): Session | undefined {
    this.#expire();
    return session === undefined ? undefined : this.#sessions.get(nameOf(session));
  }

  /** All last equally long, so the oldest come first. */
  #expire(): void {
    for (const [name, { expires }] of this.#sessions) {
      if (expires > this.#now()) return;
      this.#end(name);
    }
  }

  #end(name: string): void {
    const session = this.#sessions.get(name);
    this.#sessions.delete(name);
    for (const ended of session?.ended ?? []) ended();
  }
}

const digest = (text: string): Uint8Array => createHash('sha256').update(text).digest();
const nameOf = (session: string): string => createHash('sha256').update(session).digest('hex');
