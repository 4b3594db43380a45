// User authentication, the server's side (RFC 4252; keyboard-interactive RFC 4256). It decides nothing: each request becomes one question, and nothing more is read until that is answered.
import { byName, type CryptoProvider } from '../../crypto/provider.ts';
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
import { decode, encode } from '../wire/codec.ts';
import type { Packet } from '../wire/packet.ts';
import { beginsWith, decodeLenient, equalBytes, Reader, utf8OrNot, Writer } from '../wire/reader.ts';
import type { AuthAnswer, AuthQuestion } from './questions.ts';
import { HOSTBOUND_METHOD, signedData } from './signed-data.ts';

/** OpenSSH's MaxAuthTries. */
const MAX_TRIES = 6;
/** Requests of any kind in one sign-in: a peer could ask for ever about keys that we would accept. Agents seldom hold more than a dozen. */
const MAX_REQUESTS = 64;
/** RFC 4252 sets no limit to a user name; registries and kernels stop far below. Nobody has a longer one, so nobody signs in with it. */
const MAX_USER = 255;
/** Prompts in one INFO_REQUEST and their answers. */
const MAX_PROMPTS = 16;

/** A request that the rules of the protocol refuse, before anybody is asked whether they would let its sender in. */
export interface AuthRefusal {
  /** As in `AuthQuestion`; printable, untrusted. */
  readonly method: string;
  /** With `publickey`: what it signs, or is to sign, with; printable, untrusted. */
  readonly algorithm?: string;
  /** With `publickey`: the blob that was offered, in its canonical form where it has one; it need not be a key. */
  readonly key?: Uint8Array;
  /** Why, as a clause for a log: "its signature is wrong". */
  readonly reason: string;
}

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
  /** Hears of each request that was refused here, so that its owner was not asked. */
  refused?(refusal: AuthRefusal): void;
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
  /** Answers the packet under way as one of a kind that is not known. @throws ProtocolError if there were too many */
  unimplemented(): void;
}

/** A USERAUTH_REQUEST. Names are bytes as they came: one that is none is a name that nobody has. */
interface Request {
  readonly user: Uint8Array;
  readonly service: Uint8Array;
  readonly method: string;
  readonly data: Reader;
}

const SERVICE = 'ssh-connection';

export class ServerAuth {
  /** The user name of the sign-in under way, or done; printable, whatever the client has said. */
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
  /** The first request's, as they came: they may not change (RFC 4252 §5). */
  #first: Pick<Request, 'user' | 'service'> | undefined;
  /** Why nobody signs in with that name or for that service. */
  #nobody: string | undefined;
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
        if (this.done) break;
        return this.#serviceRequest(decode(SERVICE_REQUEST, packet).service);
      case USERAUTH_REQUEST.number:
        // RFC 4252 §5.1: silently ignored once one has succeeded.
        if (this.done) return;
        if (!this.#service) break;
        return this.#request(readRequest(packet));
      case USERAUTH_INFO_RESPONSE.number:
        if (this.done) return;
        if (this.#interactive === undefined) break;
        return this.#infoResponse(packet, this.#interactive);
    }
    // Out of place, and without effect: sshd answers as to a message that it does not know, and goes on.
    this.#transport.unimplemented();
  }

  #serviceRequest(service: string): void {
    // Order: nothing but sign-in may begin before it has ended.
    if (service !== 'ssh-userauth') {
      throw new ProtocolError(`service "${printable(service)}" is not available`, Disconnect.SERVICE_NOT_AVAILABLE);
    }
    this.#service = true;
    this.#transport.send(encode(SERVICE_ACCEPT, { service }));
  }

  #request(request: Request): void {
    this.#first ??= this.#begin(request);
    // Authentication: what one name has proved must not count for another.
    if (!equalBytes(cut(request.user), this.#first.user) || !equalBytes(cut(request.service), this.#first.service))
      throw new ProtocolError('the user name or the service changed in the middle of the sign-in');
    // Memory and time: each request may cost a signature's verification, and one of a key that would do counts as no failure.
    if (++this.#requests > MAX_REQUESTS) throw tooMany();
    this.#interactive = undefined;
    if (this.#options.banner !== undefined && !this.#bannerSent) this.#banner(this.#options.banner);
    this.#bannerSent = true;
    // OpenSSH PROTOCOL §3.1: the same method, with the server's host key under the signature.
    const method = request.method === HOSTBOUND_METHOD ? 'publickey' : request.method;
    if (method !== 'none' && !this.#next.includes(method)) return this.#fail();
    switch (method) {
      case 'none':
        return this.#none(request.data);
      case 'publickey':
        return this.#publicKey(request, request.data);
      case 'password':
        return this.#password(request.data);
      case 'keyboard-interactive':
        return this.#keyboardInteractive(request.data);
    }
    this.#fail();
  }

  /** The first request says who wants in, and for which service. As with sshd, one that nobody can have is refused like a wrong password. */
  #begin({ user, service }: Request): Pick<Request, 'user' | 'service'> {
    const name = decodeLenient(cut(user));
    // User names end up in logs, prompts and files, so nothing in one may be invisible.
    this.user = printable(name, MAX_USER);
    if (user.length > MAX_USER || this.user !== utf8OrNot(user))
      this.#nobody = 'the user name is too long, has control characters or is not UTF-8';
    if (decodeLenient(service) !== SERVICE) this.#nobody = `the service is not ${SERVICE}`;
    return { user: cut(user).slice(), service: cut(service).slice() };
  }

  #none(reader: Reader): void {
    reader.finish(); // authentication: all that was said is judged; sshd ends here, too
    // The first "none" asks which methods there are (RFC 4252 §5.2) and is not held against anyone.
    const refuse = () => (this.#requests === 1 ? this.#sendFailure(false) : this.#fail());
    if (this.#nobody !== undefined || !this.#lists.some(([method]) => method === 'none')) return refuse();
    this.#ask({ user: this.user!, method: 'none' }, answer => {
      if (answer.result === 'accept') this.#conclude(answer, 'none');
      else refuse();
    });
  }

  #publicKey(request: Request, reader: Reader): void {
    const signed = reader.boolean();
    const algorithm = reader.anyName();
    // As it was sent: signatures are over that, and PK_OK repeats it.
    const sent = reader.string().slice();
    const hostKey = request.method === HOSTBOUND_METHOD ? reader.string() : undefined;
    const signature = signed ? reader.string() : undefined;
    reader.finish(); // authentication: all that was said is judged; sshd ends here, too
    const verifier = byName(this.#options.provider.signatures, algorithm);
    const key = verifier?.canonical?.(sent) ?? sent;
    const refuse = (reason: string) => {
      this.#options.refused?.({ method: 'publickey', algorithm: printable(algorithm, 80), key, reason });
      this.#fail();
    };
    // Signed for another server: whoever shows it to us got it there.
    if (hostKey !== undefined && !equalBytes(hostKey, this.#transport.hostKey!))
      return refuse("it is bound to another server's host key");
    if (verifier === undefined) return refuse('its algorithm is not offered here');
    if (!beginsWith(key, verifier.keyType)) return refuse('its algorithm is for keys of another type');
    const plain = verifier.plainKey === undefined ? key : verifier.plainKey(key);
    const problem = verifier.problem?.(key);
    if (problem !== undefined || plain === undefined) return refuse(problem ?? 'its certificate is damaged');
    if (this.#used.some(used => equalBytes(used, plain)))
      return refuse('it has counted already, and no key counts twice');
    if (this.#nobody !== undefined) return refuse(this.#nobody);
    const user = this.user!;
    if (signature === undefined) {
      this.#ask({ user, method: 'publickey-query', algorithm, key }, answer => {
        if (answer.result === 'reject') this.#fail(answer.fault);
        else this.#transport.send(encode(USERAUTH_PK_OK, { algorithm, key: sent }));
      });
      return;
    }
    const data = signedData(this.#transport.sessionId!, { user, service: SERVICE }, algorithm, sent, hostKey);
    if (!verifier.verify(key, data, signature)) return refuse('its signature is wrong');
    const presence = verifier.presence?.(signature);
    const present = presence === undefined || presence.touched;
    // Malware can have a token sign as long as it is plugged in; the touch says that its owner wanted it to.
    const wanted = (answer: AuthAnswer) => present || ('untouched' in answer && answer.untouched === true);
    const untouched = 'it is in a security token that nobody touched';
    const prove = () =>
      this.#ask({ user, method: 'publickey', algorithm, key, ...(presence && { presence }) }, answer => {
        if (answer.result !== 'reject' && !wanted(answer)) refuse(untouched);
        else if (this.#conclude(answer, 'publickey')) this.#used.push(plain);
      });
    if (present) return prove();
    // The proof may have effects, so it is asked about only once it is known that the key does without a touch.
    this.#ask({ user, method: 'publickey-query', algorithm, key, presence }, answer => {
      if (answer.result === 'accept' && wanted(answer)) prove();
      else if (answer.result === 'reject') this.#fail(answer.fault);
      else refuse(untouched);
    });
  }

  #password(reader: Reader): void {
    const change = reader.boolean();
    const password = reader.textOrNot();
    const newPassword = change ? reader.textOrNot() : undefined;
    reader.finish(); // authentication: all that was said is judged; sshd ends here, too
    // Nobody has one that is not UTF-8: it is wrong like any other.
    if (this.#nobody !== undefined || password === undefined || (change && newPassword === undefined))
      return this.#fail();
    this.#ask({ user: this.user!, method: 'password', password, newPassword }, answer => {
      if (answer.result !== 'change-password') return void this.#conclude(answer, 'password');
      this.#transport.send(encode(USERAUTH_PASSWD_CHANGEREQ, { prompt: answer.prompt, language: new Uint8Array(0) }));
    });
  }

  #keyboardInteractive(reader: Reader): void {
    reader.string(); // language tag, deprecated
    const submethods = reader.prose();
    reader.finish(); // authentication: all that was said is judged; sshd ends here, too
    if (this.#nobody !== undefined) return this.#fail();
    this.#ask({ user: this.user!, method: 'keyboard-interactive', submethods }, answer =>
      this.#concludeInteractive(answer, submethods),
    );
  }

  #infoResponse(packet: Packet, { prompts, submethods }: { submethods: string; prompts: number }): void {
    const { count, responses } = decode(USERAUTH_INFO_RESPONSE, packet);
    this.#interactive = undefined;
    // As many answers as questions: a failed attempt, where sshd ends the connection.
    if (count !== prompts) return this.#fail();
    // Time: an owner may prompt again for ever.
    if (++this.#requests > MAX_REQUESTS) throw tooMany();
    const reader = new Reader(responses);
    const texts = Array.from({ length: count }, () => reader.textOrNot());
    reader.finish(); // authentication: all that was said is judged; sshd ends here, too
    const given = texts.filter(text => text !== undefined);
    if (given.length < count) return this.#fail();
    this.#ask({ user: this.user!, method: 'keyboard-interactive', submethods, responses: given }, answer =>
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
    // Authentication: nobody may guess for ever.
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

/** The fields of a USERAUTH_REQUEST. @throws ProtocolError if one runs past the end */
function readRequest(packet: Packet): Request {
  const data = new Reader(packet.bytes, packet.start + 1, packet.end);
  return { user: data.string(), service: data.string(), method: data.anyName(), data };
}

/** What is kept, and compared, of a name that may be as long as a packet: no longer one signs in. */
const cut = (name: Uint8Array): Uint8Array => name.subarray(0, MAX_USER + 1);

function tooMany(): ProtocolError {
  return new ProtocolError('too many authentication failures');
}
