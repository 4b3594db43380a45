// User authentication, the client's side (RFC 4252, RFC 4256): tries what it was given, in order, as far as the server lets it.
import { byName, type CryptoProvider, type PrivateKey } from '../../crypto/provider.ts';
import { Disconnect, DisconnectError, ProtocolError } from '../errors.ts';
import {
  SERVICE_ACCEPT,
  SERVICE_REQUEST,
  USERAUTH_BANNER,
  USERAUTH_FAILURE,
  USERAUTH_INFO_REQUEST,
  USERAUTH_INFO_RESPONSE,
  USERAUTH_REQUEST,
  USERAUTH_SUCCESS,
} from '../messages.ts';
import { HOSTBOUND } from '../transport/negotiate.ts';
import { decode, encode } from '../wire/codec.ts';
import type { Packet } from '../wire/packet.ts';
import { Reader, Writer } from '../wire/reader.ts';
import type { Prompt } from './server.ts';
import { HOSTBOUND_METHOD, signedData } from './server.ts';

/** Prompts we are ready to read in one INFO_REQUEST. */
const MAX_PROMPTS = 16;
/** Rounds of keyboard-interactive prompts in one attempt. */
const MAX_ROUNDS = 16;

/** What the user is asked at once. */
export interface Round {
  readonly name: string;
  readonly instruction: string;
  readonly prompts: readonly Prompt[];
}

type Interactive = Credential & { readonly method: 'keyboard-interactive' };

/** One thing to sign in with. */
export type Credential =
  | { readonly method: 'publickey'; readonly key: PrivateKey }
  | { readonly method: 'password'; readonly password: string }
  | {
      readonly method: 'keyboard-interactive';
      /** Answers one round of prompts; call `respond` once, with as many answers as there were prompts. */
      answer(round: Round, respond: (answers: readonly string[]) => void): void;
    };

export interface ClientAuthOptions {
  readonly provider: CryptoProvider;
  readonly user: string;
  readonly credentials: readonly Credential[];
  /** Text that the server wants shown; untrusted. */
  banner?(message: string): void;
  /** Puts a round to a credential; called with its answers, now or later, `respond` sends them. */
  prompt(credential: Interactive, round: Round, respond: (answers: readonly string[]) => void): void;
}

export interface ClientAuthTransport {
  readonly sessionId: Uint8Array | undefined;
  readonly hostKey: Uint8Array | undefined;
  readonly extensions: ReadonlyMap<string, Uint8Array>;
  send(packet: Packet): void;
}

const SERVICE = 'ssh-connection';

export class ClientAuth {
  done = false;
  /** Answers to prompts are awaited; no further packet may be handed in. */
  waiting = false;
  readonly #options: ClientAuthOptions;
  readonly #transport: ClientAuthTransport;
  readonly #left: Credential[];
  #current: Credential | undefined;
  #rounds = 0;
  readonly #tried: string[] = [];

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
        return this.#request('none', new Uint8Array(0));
      case USERAUTH_SUCCESS.number:
        this.done = true;
        return;
      case USERAUTH_BANNER.number:
        this.#options.banner?.(decode(USERAUTH_BANNER, packet).message);
        return;
      case USERAUTH_FAILURE.number:
        return this.#tryNext(decode(USERAUTH_FAILURE, packet).methods);
      case USERAUTH_INFO_REQUEST.number: // 60: its meaning depends on the method under way
        if (this.#current?.method === 'keyboard-interactive') return this.#prompts(packet, this.#current);
        if (this.#current?.method === 'password') return this.#tryNext(['publickey']); // it wants a new password
    }
    throw new ProtocolError(`message ${packet.number} is not expected during sign-in`);
  }

  #tryNext(methods: readonly string[]): void {
    for (;;) {
      const credential = this.#left.shift();
      if (credential === undefined) {
        const tried = this.#tried.length === 0 ? 'nothing' : this.#tried.join(', ');
        throw new DisconnectError(
          `the server refused ${this.#options.user}: tried ${tried}; it accepts ${methods.join(', ') || 'nothing more'}`,
          Disconnect.NO_MORE_AUTH_METHODS_AVAILABLE,
        );
      }
      if (methods.includes(credential.method) && this.#try(credential)) return;
    }
  }

  /** False if the server takes none of the key's algorithms. */
  #try(credential: Credential): boolean {
    this.#current = credential;
    this.#rounds = 0;
    if (credential.method === 'publickey') return this.#signed(credential.key);
    this.#tried.push(credential.method);
    if (credential.method === 'password') {
      this.#request('password', new Writer().boolean(false).string(credential.password).finish());
    } else {
      this.#request('keyboard-interactive', new Writer().string('').string('').finish());
    }
    return true;
  }

  #signed(key: PrivateKey): boolean {
    const { provider, user } = this.#options;
    const accepted = this.#transport.extensions.get('server-sig-algs');
    const names = accepted && new Reader(new Writer().string(accepted).finish()).nameList();
    const algorithm = provider.signatures.find(
      // Servers list the plain names only.
      ({ name, plain, keyType }) => keyType === key.type && (names === undefined || names.includes(plain ?? name)),
    );
    if (algorithm === undefined) return false;
    this.#tried.push(`publickey ${algorithm.name}`);
    const hostKey = this.#transport.extensions.has(HOSTBOUND) ? this.#transport.hostKey : undefined;
    const data = signedData(this.#transport.sessionId!, { user, service: SERVICE }, algorithm.name, key.blob, hostKey);
    const signature = byName(provider.signatures, algorithm.name)!.sign(key, data, provider.random);
    const request = new Writer().boolean(true).string(algorithm.name).string(key.blob);
    if (hostKey) request.string(hostKey);
    this.#request(hostKey ? HOSTBOUND_METHOD : 'publickey', request.string(signature).finish());
    return true;
  }

  #request(method: string, data: Uint8Array): void {
    this.#transport.send(encode(USERAUTH_REQUEST, { user: this.#options.user, service: SERVICE, method, data }));
  }

  #prompts(packet: Packet, credential: Interactive): void {
    const { name, instruction, count, prompts } = decode(USERAUTH_INFO_REQUEST, packet);
    if (count > MAX_PROMPTS || ++this.#rounds > MAX_ROUNDS) throw new ProtocolError('too many prompts');
    const reader = new Reader(prompts);
    const list = Array.from({ length: count }, () => ({ text: reader.text(), echo: reader.boolean() }));
    reader.finish();
    this.waiting = true;
    this.#options.prompt(credential, { name, instruction, prompts: list }, answers => {
      if (!this.waiting) return;
      this.waiting = false;
      const responses = new Writer();
      for (const answer of answers) responses.string(answer);
      this.#transport.send(encode(USERAUTH_INFO_RESPONSE, { count: answers.length, responses: responses.finish() }));
    });
  }
}
