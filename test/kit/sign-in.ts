// What tests of user authentication share (RFC 4252): a client that says any request, signs what it likes, and keeps what the server's owner was asked.
import type { PrivateKey } from '../../src/crypto/provider.ts';
import { byName } from '../../src/crypto/provider.ts';
import { USERAUTH_FAILURE, USERAUTH_REQUEST, USERAUTH_SUCCESS } from '../../src/protocol/messages.ts';
import type { AuthAnswer, AuthQuestion } from '../../src/protocol/userauth/questions.ts';
import { Writer } from '../../src/protocol/wire/reader.ts';
import { RawPeer, type RawPeerOptions } from './raw-peer.ts';

/** OpenSSH PROTOCOL §3.1: publickey with the server's host key under the signature. */
export const HOSTBOUND = 'publickey-hostbound-v00@openssh.com';

/** What a signature covers, field by field (RFC 4252 §7), and what stands in the request beside it. */
export interface Signing {
  key: PrivateKey;
  user?: string;
  service?: string;
  method?: string;
  /** In the request and under the signature. */
  algorithm?: string;
  /** Under the signature only, where a lie is wanted. */
  signedUser?: string;
  signedService?: string;
  signedAlgorithm?: string;
  signedKey?: Uint8Array;
  sessionId?: Uint8Array;
  /** Signs with this key rather than with `key`. */
  signer?: PrivateKey;
  /** Signs with this algorithm rather than with `algorithm`. */
  signWith?: string;
  /** With HOSTBOUND: the server's key in the request, and under the signature; the right one if absent. */
  hostKey?: Uint8Array;
  signedHostKey?: Uint8Array;
  /** Changes the signature blob. */
  change?(signature: Uint8Array): Uint8Array;
}

export class SignIn {
  readonly peer: RawPeer;
  /** Everything that the server's owner was asked, in order. */
  readonly asked: AuthQuestion[] = [];

  /** `answer` decides; a function that returns nothing keeps the question open. */
  constructor(
    answer: (question: AuthQuestion, later: (answer: AuthAnswer) => void) => AuthAnswer | undefined,
    options: RawPeerOptions = {},
  ) {
    this.peer = RawPeer.keyed({
      ...options,
      core: {
        methods: ['publickey', 'password', 'keyboard-interactive'],
        ...options.core,
      },
      events: {
        auth: (question, later) => {
          this.asked.push(question);
          const now = answer(question, value => {
            later(value);
            this.peer.pull();
          });
          if (now !== undefined) later(now);
        },
        ...options.events,
      },
    });
    this.peer.askService();
  }

  request(method: string, data: Uint8Array = new Uint8Array(0), user = 'alice', service = 'ssh-connection'): void {
    this.peer.send(USERAUTH_REQUEST, { user, service, method, data });
  }

  none(user?: string): void {
    this.request('none', undefined, user);
  }

  password(password: string, newPassword?: string, user?: string): void {
    const data = new Writer().boolean(newPassword !== undefined).string(password);
    if (newPassword !== undefined) data.string(newPassword);
    this.request('password', data.finish(), user);
  }

  probe(key: { blob: Uint8Array }, algorithm: string, user?: string): void {
    this.request('publickey', new Writer().boolean(false).string(algorithm).string(key.blob).finish(), user);
  }

  signed(signing: Signing): void {
    const { key, user = 'alice', service = 'ssh-connection', method = 'publickey' } = signing;
    const algorithm = signing.algorithm ?? key.type;
    const { provider, sessionId } = this.peer;
    const bound = method === 'publickey' ? undefined : (signing.hostKey ?? this.peer.hostKey.blob);
    const covered = new Writer()
      .string(signing.sessionId ?? sessionId!)
      .byte(USERAUTH_REQUEST.number)
      .string(signing.signedUser ?? user)
      .string(signing.signedService ?? service)
      .string(method)
      .boolean(true)
      .string(signing.signedAlgorithm ?? algorithm)
      .string(signing.signedKey ?? key.blob);
    if (bound !== undefined) covered.string(signing.signedHostKey ?? bound);
    const signature = byName(provider.signatures, signing.signWith ?? algorithm)!.sign(
      signing.signer ?? key,
      covered.finish(),
      provider.random,
    );
    const data = new Writer().boolean(true).string(algorithm).string(key.blob);
    if (bound !== undefined) data.string(bound);
    data.string(signing.change?.(signature) ?? signature);
    this.request(method, data.finish(), user, service);
  }

  /** The answer is a failure that lists `methods`. */
  failed(methods?: readonly string[], partialSuccess = false): void {
    const failure = this.peer.take(USERAUTH_FAILURE);
    if (failure.partialSuccess !== partialSuccess) throw new Error(`partial success: ${failure.partialSuccess}`);
    if (methods !== undefined && failure.methods.join() !== methods.join()) {
      throw new Error(`methods that can continue: ${failure.methods}`);
    }
  }

  succeeded(): void {
    this.peer.take(USERAUTH_SUCCESS);
  }

  /** The methods of the questions so far. */
  get methods(): string[] {
    return this.asked.map(({ method }) => method);
  }
}
