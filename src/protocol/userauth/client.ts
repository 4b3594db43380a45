// User authentication, the client's side (RFC 4252, RFC 4256): tries what it was given, in order, as far as the server lets it.
import type { CryptoProvider, PrivateKey, SignatureAlgorithm } from '../../crypto/provider.ts';
import { Disconnect, DisconnectError, ProtocolError, printable } from '../errors.ts';
import {
  SERVICE_ACCEPT,
  SERVICE_REQUEST,
  USERAUTH_BANNER,
  USERAUTH_FAILURE,
  USERAUTH_INFO_REQUEST,
  USERAUTH_INFO_RESPONSE,
  USERAUTH_PK_OK,
  USERAUTH_REQUEST,
  USERAUTH_SUCCESS,
} from '../messages.ts';
import { HOSTBOUND } from '../transport/extensions.ts';
import { decode, encode, encodeGiven, type Fields } from '../wire/codec.ts';
import type { Packet } from '../wire/packet.ts';
import { equalBytes, Reader, Writer } from '../wire/reader.ts';
import type { Prompt } from './questions.ts';
import { HOSTBOUND_METHOD, signedData } from './signed-data.ts';

/** Prompts we are ready to read in one INFO_REQUEST. */
const MAX_PROMPTS = 16;
/** Rounds of keyboard-interactive prompts in one attempt. */
const MAX_ROUNDS = 16;

/** What the user is asked at once (RFC 4256 §3.2); all of it is the server's text, and untrusted. */
export interface Round {
  /** A title; often empty. */
  readonly name: string;
  /** What to show above the prompts; often empty. */
  readonly instruction: string;
  /** The questions; there may be none, and the answer then is an empty list. */
  readonly prompts: readonly Prompt[];
}

type Key = Credential & { readonly method: 'publickey' };
type Interactive = Credential & { readonly method: 'keyboard-interactive' };

/** A password that somebody is asked for only when the server would take one. */
export interface AskedPassword {
  /** Its name on the wire. */
  readonly method: 'password';
  /** Call `respond` once, now or later, with the password, or with undefined if there is none: then the next credential is tried. */
  ask(respond: (password: string | undefined) => void): void;
}

/** A key that signs somewhere else: in an agent, a token, a vault. The server is asked whether it would do before it is bothered. */
export interface RemoteKey {
  /** Its name on the wire. */
  readonly method: 'publickey';
  /** Its public half, or certificate. */
  readonly key: Pick<PrivateKey, 'type' | 'blob'>;
  /**
   * Names of algorithms to offer it under, of those that are for keys of its type, in this order: the next where one is
   * refused. A passkey has the one of WebAuthn and then `sk-ecdsa-sha2-nistp256@openssh.com`, under which sshd takes
   * its signatures by default. Left out, it is offered as every other key.
   */
  readonly algorithms?: readonly string[];
  /**
   * Signs `data` under `algorithm` (RFC 4252 §7, RFC 8332); call `respond` once, now or later, with the signature blob, or
   * with undefined if that cannot be had: then the next credential is tried.
   */
  sign(data: Uint8Array, algorithm: string, respond: (signature: Uint8Array | undefined) => void): void;
}

/** One thing to sign in with. */
export type Credential =
  | { readonly method: 'publickey'; readonly key: PrivateKey; readonly sign?: undefined }
  | RemoteKey
  | { readonly method: 'password'; readonly password: string; readonly ask?: undefined }
  | AskedPassword
  | {
      readonly method: 'keyboard-interactive';
      /**
       * Answers one round of prompts; call `respond` once, now or later, with as many answers as there were prompts, or with
       * undefined if there are none: then the next credential is tried.
       */
      answer(round: Round, respond: (answers: readonly string[] | undefined) => void): void;
    };

export interface ClientAuthOptions {
  readonly provider: CryptoProvider;
  readonly user: string;
  readonly credentials: readonly Credential[];
  /** Text that the server wants shown; untrusted. */
  banner?(message: string): void;
  /** Puts a round to a credential; called with its answers, now or later, `respond` sends them. */
  prompt(credential: Interactive, round: Round, respond: (answers: readonly string[] | undefined) => void): void;
  /** Has somebody asked for a password, in the same way. */
  ask(credential: AskedPassword, respond: (password: string | undefined) => void): void;
  /** Has a remote key sign, in the same way. */
  sign(
    credential: RemoteKey,
    data: Uint8Array,
    algorithm: string,
    respond: (signature: Uint8Array | undefined) => void,
  ): void;
}

export interface ClientAuthTransport {
  readonly sessionId: Uint8Array | undefined;
  readonly hostKey: Uint8Array | undefined;
  readonly extensions: ReadonlyMap<string, Uint8Array>;
  send(packet: Packet): void;
}

interface Probe {
  readonly credential: RemoteKey;
  readonly algorithm: SignatureAlgorithm;
}

const SERVICE = 'ssh-connection';

export class ClientAuth {
  done = false;
  /** Answers to prompts or a signature are awaited; no further packet may be handed in. */
  waiting = false;
  readonly #options: ClientAuthOptions;
  readonly #transport: ClientAuthTransport;
  readonly #left: Credential[];
  #current: Credential | undefined;
  /** What the current key has not been offered under. */
  #algorithms: SignatureAlgorithm[] = [];
  /** Keys that were refused: another method may succeed, and they may do then. */
  readonly #refused: Credential[] = [];
  /** It has been asked which methods there are; the server's readiness has no effect any more. */
  #asked = false;
  #rounds = 0;
  /** The server has been asked whether this key would do. */
  #probed: Probe | undefined;
  /** Methods that can go on, by the server's last word. */
  #methods: readonly string[] = [];
  readonly #tried: string[] = [];
  /** What could not be tried, and why. */
  readonly #unfit: string[] = [];

  constructor(options: ClientAuthOptions, transport: ClientAuthTransport) {
    this.#options = options;
    this.#transport = transport;
    this.#left = [...options.credentials];
  }

  start(): void {
    this.#transport.send(encode(SERVICE_REQUEST, { service: 'ssh-userauth' }));
  }

  /** @throws ProtocolError, or DisconnectError when nothing is left to try */
  receive(packet: Packet): void {
    switch (packet.number) {
      case SERVICE_ACCEPT.number:
        if (this.#asked) return;
        this.#asked = true;
        return this.#request('none', new Uint8Array(0));
      case USERAUTH_SUCCESS.number:
        this.done = true;
        return;
      case USERAUTH_BANNER.number:
        this.#options.banner?.(decode(USERAUTH_BANNER, packet).message);
        return;
      case USERAUTH_FAILURE.number:
        return this.#failure(decode(USERAUTH_FAILURE, packet));
      case USERAUTH_INFO_REQUEST.number: // 60: its meaning depends on the method under way
        if (this.#probed) return this.#wouldDo(packet, this.#probed);
        if (this.#current?.method === 'keyboard-interactive') return this.#prompts(packet, this.#current);
        if (this.#current?.method === 'password')
          return this.#tryNext(this.#methods.filter(method => method !== 'password')); // it wants a new one
    }
    // Order: what is no answer to the request under way would pass for one.
    throw new ProtocolError(`message ${packet.number} is not expected during sign-in`);
  }

  #failure({ methods, partialSuccess }: Fields<typeof USERAUTH_FAILURE.layout>): void {
    this.#methods = methods;
    if (partialSuccess) {
      // As ssh does, behind those that were not tried. What has succeeded does not come again, so this has an end.
      this.#left.push(...this.#refused.splice(0));
      this.#algorithms = [];
    } else if (this.#current?.method === 'publickey') {
      if (methods.includes('publickey') && this.#offerNext(this.#current)) return;
      this.#refused.push(this.#current);
    }
    this.#tryNext(methods);
  }

  #tryNext(methods: readonly string[]): void {
    this.#current = undefined;
    // What the server does not want now may be what it wants after the next step, so it is kept, in its order.
    const later: Credential[] = [];
    for (;;) {
      const credential = this.#left.shift();
      if (credential === undefined || methods.includes(credential.method)) this.#left.unshift(...later.splice(0));
      if (credential === undefined) {
        const tried = this.#tried.length === 0 ? 'nothing' : this.#tried.join(', ');
        const accepted = methods.map(method => printable(method)).join(', ') || 'nothing more';
        throw new DisconnectError(
          [`the server refused ${this.#options.user}: tried ${tried}; it accepts ${accepted}`, ...this.#unfit].join(
            '; ',
          ),
          Disconnect.NO_MORE_AUTH_METHODS_AVAILABLE,
        );
      }
      if (methods.includes(credential.method)) {
        if (this.#try(credential)) return;
      } else later.push(credential);
    }
  }

  /** False if the server takes none of the key's algorithms. */
  #try(credential: Credential): boolean {
    this.#current = credential;
    this.#probed = undefined;
    this.#rounds = 0;
    if (credential.method === 'publickey') return this.#tryKey(credential);
    if (credential.method === 'keyboard-interactive') {
      this.#tried.push(credential.method);
      this.#request('keyboard-interactive', new Writer().string('').string('').finish());
    } else if (credential.ask) {
      this.#await<string>(
        respond => this.#options.ask(credential, respond),
        password => this.#password(password),
      );
    } else this.#password(credential.password);
    return true;
  }

  #password(password: string): void {
    this.#tried.push('password');
    this.#request('password', new Writer().boolean(false).string(password).finish());
  }

  /** Waits for what somebody else has to give; if that is nothing, the next credential is tried. */
  #await<T>(ask: (respond: (given: T | undefined) => void) => void, use: (given: T) => void): void {
    this.waiting = true;
    ask(given => {
      if (!this.waiting) return;
      this.waiting = false;
      if (given === undefined) this.#tryNext(this.#methods);
      else use(given);
    });
  }

  /** False if there is none that the server takes. */
  #tryKey(credential: Key): boolean {
    const { type } = credential.key;
    const announced = this.#transport.extensions.get('server-sig-algs');
    const names = announced && new Reader(new Writer().string(announced).finish()).nameList();
    const ours = this.#options.provider.signatures.filter(({ keyType }) => keyType === type);
    // Servers list the plain names only.
    const taken = ours.filter(({ name, plain }) => names === undefined || names.includes(plain ?? name));
    // As for ssh, the list chooses among several algorithms, as RSA has them. A key whose type is an algorithm is
    // offered all the same: Conch lists only that of its own key, and takes others.
    const usable = taken.length > 0 ? taken : ours.filter(({ name }) => name === type);
    const wanted = credential.sign && credential.algorithms;
    if (wanted) this.#algorithms = wanted.flatMap(name => usable.find(algorithm => algorithm.name === name) ?? []);
    // One that is listed is refused because of the key, and each refusal counts: sshd ends the connection at the sixth.
    else this.#algorithms = usable.slice(0, names === undefined ? undefined : 1);
    if (this.#offerNext(credential)) return true;
    this.#unfit.push(this.#whyUnfit(type, names));
    return false;
  }

  /** Offers the key under its next algorithm. False if there is none. */
  #offerNext(credential: Key): boolean {
    const algorithm = this.#algorithms.shift();
    if (algorithm === undefined) return false;
    const { blob } = credential.key;
    this.#tried.push(`publickey ${algorithm.name}`);
    if (credential.sign) {
      this.#probed = { credential, algorithm };
      this.#offer(blob, algorithm.name);
    } else {
      const { random } = this.#options.provider;
      this.#offer(blob, algorithm.name, algorithm.sign(credential.key, this.#toSign(blob, algorithm.name), random));
    }
    return true;
  }

  /** Why a key of that type is of no use here, such as an RSA key where only SHA-1 is taken. */
  #whyUnfit(type: string, names: readonly string[] | undefined): string {
    const ours = this.#options.provider.signatures.filter(({ keyType }) => keyType === type).map(({ name }) => name);
    const because =
      ours.length === 0 || names === undefined
        ? 'cannot sign here'
        : `signs by ${ours.join(' or ')}, and the server takes ${printable(names.join(', ')) || 'nothing'}`;
    return `the key of type ${printable(type)} was not tried: it ${because}`;
  }

  /** USERAUTH_PK_OK (RFC 4252 §7): the key would do, so it is worth a signature. */
  #wouldDo(packet: Packet, { credential, algorithm }: Probe): void {
    const answer = decode(USERAUTH_PK_OK, packet);
    const { blob } = credential.key;
    // Authentication: a signature is for the key that was asked about. Under which name the server has it is of no
    // concern, as to ssh.
    const key = algorithm.canonical?.(answer.key) ?? answer.key;
    if (!equalBytes(answer.key, blob) && !equalBytes(key, algorithm.canonical?.(blob) ?? blob))
      throw new ProtocolError('the server answers for another key than the one it was asked about');
    this.#probed = undefined;
    this.#await<Uint8Array>(
      respond => this.#options.sign(credential, this.#toSign(blob, algorithm.name), algorithm.name, respond),
      signature => this.#offer(blob, algorithm.name, signature),
    );
  }

  /** The server's key, where it goes under the signature (OpenSSH PROTOCOL §3.1). */
  get #bound(): Uint8Array | undefined {
    return this.#transport.extensions.has(HOSTBOUND) ? this.#transport.hostKey : undefined;
  }

  #toSign(key: Uint8Array, algorithm: string): Uint8Array {
    const request = { user: this.#options.user, service: SERVICE };
    return signedData(this.#transport.sessionId!, request, algorithm, key, this.#bound);
  }

  /** A key with its signature, or without one the question whether it would do. */
  #offer(key: Uint8Array, algorithm: string, signature?: Uint8Array): void {
    const hostKey = this.#bound;
    const request = new Writer(512)
      .boolean(signature !== undefined)
      .string(algorithm)
      .string(key);
    if (hostKey) request.string(hostKey);
    if (signature) request.string(signature);
    this.#request(hostKey ? HOSTBOUND_METHOD : 'publickey', request.finish());
  }

  #request(method: string, data: Uint8Array): void {
    this.#transport.send(encodeGiven(USERAUTH_REQUEST, { user: this.#options.user, service: SERVICE, method, data }));
  }

  #prompts(packet: Packet, credential: Interactive): void {
    const { name, instruction, count, prompts } = decode(USERAUTH_INFO_REQUEST, packet);
    // Memory, and patience: whoever answers is shown each prompt, and a server may ask for ever.
    if (count > MAX_PROMPTS || ++this.#rounds > MAX_ROUNDS) throw new ProtocolError('too many prompts');
    const reader = new Reader(prompts);
    const list = Array.from({ length: count }, () => ({ text: reader.prose(), echo: reader.boolean() }));
    // As of every message: what was read is all that it says. ssh ends here, too.
    reader.finish();
    this.#await<readonly string[]>(
      respond => this.#options.prompt(credential, { name, instruction, prompts: list }, respond),
      answers => {
        const responses = new Writer();
        for (const answer of answers) responses.string(answer);
        this.#transport.send(
          encodeGiven(USERAUTH_INFO_RESPONSE, { count: answers.length, responses: responses.finish() }),
        );
      },
    );
  }
}
