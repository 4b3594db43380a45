// User authentication, the server's side (RFC 4252; keyboard-interactive RFC 4256). It decides nothing: each request becomes one question, and nothing more is read until that is answered.
import { byName, type CryptoProvider, type Presence } from '../../crypto/provider.ts';
import { Disconnect, ProtocolError, printable, UsageError } from '../errors.ts';
import {
  SERVICE_ACCEPT,
  SERVICE_REQUEST,
  USERAUTH_BANNER,
  USERAUTH_FAILURE,
  USERAUTH_INFO_REQUEST,
  USERAUTH_INFO_RESPONSE,
  USERAUTH_PASSWD_CHANGEREQ,
  USERAUTH_PK_OK,
  USERAUTH_REQUEST,
  USERAUTH_SUCCESS,
} from '../messages.ts';
import { decode, encode, type Fields } from '../wire/codec.ts';
import type { Packet } from '../wire/packet.ts';
import { equalBytes, Reader, Writer } from '../wire/reader.ts';

/** OpenSSH's MaxAuthTries. */
const MAX_TRIES = 6;
/** Requests of any kind in one sign-in: a peer could ask for ever about keys that we would accept. Agents seldom hold more than a dozen. */
const MAX_REQUESTS = 64;
/** RFC 4252 sets no limit to a user name; registries and kernels stop far below. */
const MAX_USER = 255;
/** Prompts in one INFO_REQUEST and their answers. */
const MAX_PROMPTS = 16;

/** OpenSSH PROTOCOL §3.1. */
export const HOSTBOUND_METHOD = 'publickey-hostbound-v00@openssh.com';

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
  /** Refused; with `fault` because something failed here, which is not held against the user's address. */
  | { readonly result: 'reject'; readonly fault?: boolean }
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

export interface ServerAuthOptions {
  readonly provider: CryptoProvider;
  /** Methods that the client is told of, best first: publickey, password, keyboard-interactive. */
  readonly methods: readonly string[];
  /**
   * Lists of methods of which one has to be gone through, in its order (AuthenticationMethods of sshd_config(5)):
   * [['publickey', 'password'], ['publickey', 'publickey']]. No key counts twice. By default each method suffices.
   */
  readonly require?: readonly (readonly string[])[];
  /** Hears of faults of this program. */
  fault?(error: unknown): void;
  /** Shown before the first answer. */
  readonly banner?: string;
  /** Failures before the connection is closed. */
  readonly maxTries?: number;
  /** Called with each question; answers it now or later, exactly once, and may throw ProtocolError. */
  ask(question: AuthQuestion, answer: (answer: AuthAnswer) => void): void;
}

export interface ServerAuthTransport {
  readonly sessionId: Uint8Array | undefined;
  readonly hostKey: Uint8Array | undefined;
  send(packet: Packet): void;
}

type Request = Fields<typeof USERAUTH_REQUEST.layout>;

export class ServerAuth {
  /** The user name of the sign-in under way, or done. */
  user: string | undefined;
  /** Signed in. */
  done = false;
  /** A question is open; no further packet may be handed in. */
  waiting = false;
  /** Failures so far. */
  failures = 0;
  /** Those of them that are faults of this program. */
  faults = 0;

  readonly #options: ServerAuthOptions;
  readonly #transport: ServerAuthTransport;
  /** What is left of the lists: one of them has to be gone through. */
  #lists: readonly (readonly string[])[];
  /** Plain keys that have counted. */
  readonly #used: Uint8Array[] = [];
  /** Of steps that have succeeded: shown when all have. */
  #greetings = '';
  #service = false;
  #requests = 0;
  #bannerSent = false;
  /** Between INFO_REQUEST and INFO_RESPONSE: the submethods asked for, and how many answers are due. */
  #interactive: { submethods: string; prompts: number } | undefined;

  constructor(options: ServerAuthOptions, transport: ServerAuthTransport) {
    this.#options = options;
    this.#transport = transport;
    this.#lists = options.require ?? ['none', ...options.methods].map(method => [method]);
  }

  /** @throws ProtocolError */
  receive(packet: Packet): void {
    switch (packet.number) {
      case SERVICE_REQUEST.number:
        return this.#serviceRequest(decode(SERVICE_REQUEST, packet).service);
      case USERAUTH_REQUEST.number:
        // RFC 4252 §5.1: silently ignored once one has succeeded.
        return this.done ? undefined : this.#request(decode(USERAUTH_REQUEST, packet));
      case USERAUTH_INFO_RESPONSE.number:
        return this.#infoResponse(packet);
    }
    throw new ProtocolError(`message ${packet.number} is not for a server to receive`);
  }

  #serviceRequest(service: string): void {
    if (service !== 'ssh-userauth') {
      throw new ProtocolError(`service "${printable(service)}" is not available`, Disconnect.SERVICE_NOT_AVAILABLE);
    }
    this.#service = true;
    this.#transport.send(encode(SERVICE_ACCEPT, { service }));
  }

  #request(request: Request): void {
    if (!this.#service) throw new ProtocolError('user authentication without asking for the service first');
    const user = showable(request.user);
    this.user ??= user;
    // Authentication: what has been proven for one user must not let in another.
    if (user !== this.user) throw new ProtocolError('the user name changed in the middle of the sign-in');
    if (++this.#requests > MAX_REQUESTS) throw tooMany();
    this.#interactive = undefined;
    if (this.#options.banner !== undefined && !this.#bannerSent) this.#banner(this.#options.banner);
    this.#bannerSent = true;
    const reader = new Reader(request.data);
    // OpenSSH PROTOCOL §3.1: the same method, with the server's host key under the signature.
    const method = request.method === HOSTBOUND_METHOD ? 'publickey' : request.method;
    // As sshd: a user that cannot be, and any other service, are refused like a user who may not.
    if (user !== request.user || request.service !== 'ssh-connection') return this.#refuse(method);
    if (method !== 'none' && !this.#next.includes(method)) return this.#fail();
    switch (method) {
      case 'none':
        return this.#none(reader);
      case 'publickey':
        return this.#publicKey(request, reader);
      case 'password':
        return this.#password(reader);
      case 'keyboard-interactive':
        return this.#keyboardInteractive(reader);
    }
    this.#fail();
  }

  #none(reader: Reader): void {
    reader.finish();
    if (!this.#lists.some(([method]) => method === 'none')) return this.#refuse('none');
    this.#ask({ user: this.user!, method: 'none' }, answer => {
      if (answer.result === 'accept') this.#conclude(answer, 'none');
      else this.#refuse('none');
    });
  }

  /** The first "none" asks which methods there are (RFC 4252 §5.2) and is not held against anyone. */
  #refuse(method: string): void {
    if (method === 'none' && this.#requests === 1) this.#sendFailure(false);
    else this.#fail();
  }

  #publicKey(request: Request, reader: Reader): void {
    const signed = reader.boolean();
    const algorithm = reader.anyName();
    const key = reader.string().slice();
    const hostKey = request.method === HOSTBOUND_METHOD ? reader.string() : undefined;
    const signature = signed ? reader.string() : undefined;
    reader.finish();
    // Signed for another server: whoever shows it to us got it there.
    if (hostKey !== undefined && !equalBytes(hostKey, this.#transport.hostKey!)) return this.#fail();
    const verifier = byName(this.#options.provider.signatures, algorithm);
    if (verifier === undefined || !isOfType(key, verifier.keyType)) return this.#fail();
    const plain = verifier.plainKey === undefined ? key : verifier.plainKey(key);
    if (plain === undefined || this.#used.some(used => equalBytes(used, plain))) return this.#fail();
    const user = this.user!;
    if (signature === undefined) {
      this.#ask({ user, method: 'publickey-query', algorithm, key }, answer => {
        if (answer.result === 'reject') this.#fail(answer.fault);
        else this.#transport.send(encode(USERAUTH_PK_OK, { algorithm, key }));
      });
      return;
    }
    const data = signedData(this.#transport.sessionId!, { ...request, user }, algorithm, key, hostKey);
    if (!verifier.verify(key, data, signature)) return this.#fail();
    const presence = verifier.presence?.(signature);
    const present = presence === undefined || presence.touched;
    // Malware can have a token sign as long as it is plugged in; the touch says that its owner wanted it to.
    const wanted = (answer: AuthAnswer) => present || ('untouched' in answer && answer.untouched === true);
    const prove = () =>
      this.#ask({ user, method: 'publickey', algorithm, key, ...(presence && { presence }) }, answer => {
        if (this.#conclude(wanted(answer) ? answer : { result: 'reject' }, 'publickey')) this.#used.push(plain);
      });
    if (present) return prove();
    // The proof may have effects, so it is asked about only once it is known that the key does without a touch.
    this.#ask({ user, method: 'publickey-query', algorithm, key, presence }, answer => {
      if (answer.result === 'accept' && wanted(answer)) prove();
      else this.#fail();
    });
  }

  #password(reader: Reader): void {
    const change = reader.boolean();
    const password = reader.textOrNot();
    const newPassword = change ? reader.textOrNot() : undefined;
    reader.finish();
    if (password === undefined || (change && newPassword === undefined)) return this.#fail();
    this.#ask({ user: this.user!, method: 'password', password, newPassword }, answer => {
      if (answer.result !== 'change-password') return void this.#conclude(answer, 'password');
      this.#transport.send(encode(USERAUTH_PASSWD_CHANGEREQ, { prompt: answer.prompt, language: new Uint8Array(0) }));
    });
  }

  #keyboardInteractive(reader: Reader): void {
    reader.string(); // language tag, deprecated
    const submethods = reader.prose();
    reader.finish();
    this.#ask({ user: this.user!, method: 'keyboard-interactive', submethods }, answer =>
      this.#concludeInteractive(answer, submethods),
    );
  }

  #infoResponse(packet: Packet): void {
    const { count, responses } = decode(USERAUTH_INFO_RESPONSE, packet);
    const expected = this.#interactive;
    this.#interactive = undefined;
    if (this.done) return;
    if (expected === undefined) throw new ProtocolError('INFO_RESPONSE to a question that was not asked');
    if (count !== expected.prompts) return this.#fail();
    if (++this.#requests > MAX_REQUESTS) throw tooMany();
    const reader = new Reader(responses);
    const texts = Array.from({ length: count }, () => reader.textOrNot());
    reader.finish();
    const { submethods } = expected;
    if (!texts.every(text => text !== undefined)) return this.#fail();
    this.#ask({ user: this.user!, method: 'keyboard-interactive', submethods, responses: texts }, answer =>
      this.#concludeInteractive(answer, submethods),
    );
  }

  #concludeInteractive(answer: AuthAnswer, submethods: string): void {
    if (answer.result !== 'prompt') return void this.#conclude(answer, 'keyboard-interactive');
    const prompts = new Writer();
    for (const { text, echo } of answer.prompts.slice(0, MAX_PROMPTS)) prompts.string(text).boolean(echo);
    const count = Math.min(answer.prompts.length, MAX_PROMPTS);
    this.#interactive = { submethods, prompts: count };
    this.#transport.send(
      encode(USERAUTH_INFO_REQUEST, {
        name: answer.name ?? '',
        instruction: answer.instruction ?? '',
        language: new Uint8Array(0),
        count,
        prompts: prompts.finish(),
      }),
    );
  }

  #ask(question: AuthQuestion, conclude: (answer: AuthAnswer) => void): void {
    this.waiting = true;
    let open = true;
    this.#options.ask(question, answer => {
      if (!open) return;
      open = false;
      this.waiting = false;
      conclude(answer);
    });
  }

  /** The end of one step. @returns whether it counts */
  #conclude(answer: AuthAnswer, method: string): boolean {
    const { result } = answer;
    if (result !== 'accept' && result !== 'partial') {
      this.#fail(result === 'reject' && answer.fault);
      return false;
    }
    let advanced = this.#lists.filter(([first]) => first === method).map(list => list.slice(1));
    let others = this.#lists.filter(([first]) => first !== method);
    if (result === 'partial') {
      const follows = ([first]: readonly string[]) => first !== undefined && answer.methods.includes(first);
      advanced = advanced.filter(follows);
      others = others.filter(follows);
    } else if (answer.banner !== undefined) this.#greetings += answer.banner;
    if (advanced.length === 0) {
      const wanted = result === 'partial' ? answer.methods.join(' or ') : 'nothing';
      this.#options.fault?.(new UsageError(`no list in "require" has ${method} and then ${wanted}`));
      this.#fail(true);
      return false;
    }
    this.#lists = [...advanced, ...others];
    if (advanced.some(list => list.length === 0)) this.#succeed();
    else this.#sendFailure(true);
    return true;
  }

  #succeed(): void {
    if (this.#greetings !== '') this.#banner(this.#greetings);
    this.done = true;
    this.#transport.send(encode(USERAUTH_SUCCESS, {}));
  }

  /** Methods that come next in some list. */
  get #next(): string[] {
    return this.#options.methods.filter(method => this.#lists.some(([first]) => first === method));
  }

  /** Also a fault of ours counts as a try: whoever can provoke one must not try for ever. */
  #fail(fault = false): void {
    this.failures++;
    if (fault) this.faults++;
    if (this.failures >= (this.#options.maxTries ?? MAX_TRIES)) throw tooMany();
    this.#sendFailure(false);
  }

  #sendFailure(partialSuccess: boolean): void {
    this.#transport.send(encode(USERAUTH_FAILURE, { methods: this.#next, partialSuccess }));
  }

  #banner(message: string): void {
    const text = message.replace(/\r?\n/g, '\r\n');
    this.#transport.send(encode(USERAUTH_BANNER, { message: text, language: new Uint8Array(0) }));
  }
}

/** What a public key signature covers (RFC 4252 §7); `hostKey` is the last part where the method is HOSTBOUND_METHOD. */
export function signedData(
  sessionId: Uint8Array,
  request: { user: string; service: string },
  algorithm: string,
  key: Uint8Array,
  hostKey?: Uint8Array,
): Uint8Array {
  const writer = new Writer(512)
    .string(sessionId)
    .byte(USERAUTH_REQUEST.number)
    .string(request.user)
    .string(request.service)
    .string(hostKey ? HOSTBOUND_METHOD : 'publickey')
    .boolean(true)
    .string(algorithm)
    .string(key);
  if (hostKey) writer.string(hostKey);
  return writer.finish();
}

/** Whether a public key blob says that it is of `type`. */
function isOfType(blob: Uint8Array, type: string): boolean {
  return new Reader(blob).name() === type;
}

/**
 * User names end up in logs, prompts and files, so nothing in one may be invisible, and none may be endless. One that is
 * not as it is shown is nobody's, and so is one that is not UTF-8.
 */
const showable = (user = NOT_UTF8): string => printable(user, MAX_USER);

/** Shown for a user name that is no text. */
const NOT_UTF8 = '\uFFFD';

function tooMany(): ProtocolError {
  return new ProtocolError('too many authentication failures');
}
