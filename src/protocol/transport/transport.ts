// The SSH transport (RFC 4253): identification, packets, key exchange and re-exchange. Bytes in, packets out, bytes out; the key exchange is invisible above.

import {
  byName,
  type CompressionAlgorithm,
  type CryptoProvider,
  type PrivateKey,
  type Sealer,
} from '../../crypto/provider.ts';
import { Account, OVERHEAD } from '../account.ts';
import { DisconnectError, MAX_DESCRIPTION, ProtocolError, printable } from '../errors.ts';
import {
  DEBUG,
  DISCONNECT,
  EXT_INFO,
  IGNORE,
  isAnswer,
  KEXINIT,
  NEWKEYS,
  phaseOf,
  UNIMPLEMENTED,
  USERAUTH_SUCCESS,
} from '../messages.ts';
import { decode, encode } from '../wire/codec.ts';
import { MAX_PACKET } from '../wire/framing.ts';
import type { Packet } from '../wire/packet.ts';
import { encodeUtf8, equalBytes } from '../wire/reader.ts';
import { clearOpener, clearSealer } from './clear.ts';
import { ourExtensions, readExtensions } from './extensions.ts';
import { FrameReader } from './frames.ts';
import { IDENTIFICATION, IdentReader } from './ident.ts';
import { type Costly, clientExchange, type HostKeyQuestion, type Kex, type KexResult, serverExchange } from './kex.ts';
import { deriveKey } from './keys.ts';
import {
  type Direction,
  EXT_INFO_C,
  EXT_INFO_S,
  guessedWrong,
  kexInit,
  type Negotiated,
  negotiate,
  type Role,
  STRICT_C,
  STRICT_S,
  steer,
} from './negotiate.ts';
import { Outbox } from './outbox.ts';

/** New keys after 1 GiB in either direction: what RFC 4253 §9 recommends, and OpenSSH's own limit for its default cipher. */
const REKEY_BYTES = 1024 ** 3;
/** New keys after 2^31 packets, half of what the 32-bit sequence numbers bear (RFC 4344 §3.1). */
const REKEY_PACKETS = 2 ** 31;
/** No packet may be sealed or opened beyond this under one key: sequence numbers would repeat. */
const MAX_PACKETS = 2 ** 32 - 1;
/**
 * Messages that we do not know, before sign-in. They have to be answered (RFC 4253 §11.4), but clients send one or two at
 * most, to see what we say; a stranger that goes on wants to burn our time.
 */
const MAX_UNKNOWN = 16;
/** Payloads below this are small: what surrounds one costs more than a copy. */
const SMALL = 1024;
/** The coroutine awaits one packet of a wrongly guessed method, whatever its number, and drops it. */
const GUESS = -1;

/** What a transport is made with. */
export interface TransportOptions {
  /** Which end this is. */
  readonly role: Role;
  /** Its lists are what is offered, in their order. */
  readonly provider: CryptoProvider;
  /** Server: its keys, in order of preference among those of one type. */
  readonly hostKeys?: readonly PrivateKey[];
  /** Client: host key algorithms it can judge, best first; by default all of the provider's. */
  readonly hostKeyAlgorithms?: readonly string[];
  /**
   * Server: ciphers to offer alone to a client that has one of them. The server then waits for the client's KEXINIT, which
   * needs not wait for ours (RFC 4253 §7.1), before it sends its own, or until `offer` is called.
   */
  readonly preferCiphers?: readonly string[];
  /** Names of the key exchanges to offer, best first; by default all of the provider's, but for a server none that costs it much (group18). */
  readonly kex?: readonly string[];
  /** What we compress with if the peer wishes (a server) or can (a client); by default nothing. */
  readonly compression?: readonly CompressionAlgorithm[];
  /** Our identification line without CR LF (RFC 4253 §4.2). */
  readonly ident?: string;
  /** Key re-exchange after so many bytes in either direction; by default 1 GiB. */
  readonly rekeyBytes?: number;
  /** And after so many packets; by default 2^31. */
  readonly rekeyPackets?: number;
}

/** What the owner of a transport hears; calls come from inside it. */
export interface TransportEvents {
  /** There is something to take with `takeOutput`, for the first time since it was called last. */
  output(): void;
  /**
   * Client: is this the right host's key? Answer with `answerHostKey`, now or later; nothing is read meanwhile. In later exchanges
   * it is asked about another key only, as in ssh: what was right when the connection began may have expired since.
   */
  hostKey(question: HostKeyQuestion): void;
  /** Server: what is to be computed next costs so much (`KexAlgorithm.work`). Call `proceed`, now or later; nothing is read meanwhile. Absent: at once. */
  costly?(work: number): void;
  /** A key exchange has begun (sending is held back) or ended. */
  exchanging(active: boolean): void;
}

/** One end of the transport protocol. It does no I/O: bytes come in by `receive`, and leave by `takeOutput`. */
export class Transport {
  /** Which end this is. */
  readonly role: Role;
  /** The cryptography that it was made with. */
  readonly provider: CryptoProvider;
  /** Our identification line without CR LF. */
  readonly ident: string;
  /** The peer's, empty until it has come; untrusted, but may be shown: U+FFFD stands for what is not printable ASCII. */
  peerIdent = '';
  /** The first exchange hash; identifies the connection for ever (RFC 4253 §7.2). */
  sessionId: Uint8Array | undefined;
  /** The host key blob of the first exchange (RFC 4253 §6.6). */
  hostKey: Uint8Array | undefined;
  /** What the last key exchange agreed on. */
  negotiated: Negotiated | undefined;
  /** Strict key exchange is in force (OpenSSH PROTOCOL §1.10). */
  strict = false;
  /** Between our KEXINIT and our NEWKEYS: everything from number 50 up is held back. */
  exchanging = false;
  /** Nothing is offered until the client's KEXINIT has come. A client may wait for ours just so: see `offer`. */
  waitsToOffer = false;
  /**
   * Set by the owner after sign-in: only then do byte and packet counts start a key re-exchange, and may the peer. Nobody
   * needs a second one before (OpenSSH's client could not cope with it), and each costs us more than it costs the peer.
   */
  mayRekey = false;
  /** Key exchanges completed. */
  exchanges = 0;
  /** What waits on behalf of the peer. */
  readonly account = new Account();
  /** Extensions of the peer's EXT_INFO (RFC 8308), name to raw value. */
  readonly extensions = new Map<string, Uint8Array>();

  readonly #options: TransportOptions;
  readonly #events: TransportEvents;
  readonly #hostKeyNames: readonly string[];
  /** Ciphers that we offer; undefined for all. */
  #ciphers: readonly string[] | undefined;
  #identReader: IdentReader | undefined;
  /** As it came: it goes into the exchange hash. */
  #peerIdent: Uint8Array = new Uint8Array(0);
  readonly #frames = new FrameReader(clearOpener);
  #sealer: Sealer;
  /** From sign-in on, where it was agreed. */
  #compress: ((packet: Packet) => Packet) | undefined;
  #decompress: ((packet: Packet, limit: number) => Packet) | undefined;
  #signedIn = false;
  #sendSequence = 0;
  #sentPackets = 0;
  /** Messages received before sign-in that we do not know. */
  #unknown = 0;
  /** Sealed, not yet taken. */
  readonly #outbox = new Outbox(this.account);
  /** Packets sent while exchanging; at most what windows, the account and our owner's own queues let through. */
  #held: Packet[] = [];
  /** Bytes of all of them, and what those cost that are in the account. */
  #heldBytes = 0;
  #heldCost = 0;
  #exchange: Kex<void> | undefined;
  /** The message number that `#exchange` waits for. */
  #awaits: number = KEXINIT.number;
  #question: HostKeyQuestion | Costly | undefined;
  /** The host key that was accepted last. */
  #accepted: Uint8Array | undefined;

  constructor(options: TransportOptions, events: TransportEvents) {
    this.#options = options;
    this.#events = events;
    this.role = options.role;
    this.provider = options.provider;
    this.ident = options.ident ?? IDENTIFICATION;
    this.#identReader = new IdentReader(options.role === 'client');
    this.#sealer = clearSealer(options.provider.random);
    this.#hostKeyNames =
      options.role === 'client'
        ? (options.hostKeyAlgorithms ?? options.provider.signatures.map(({ name }) => name))
        : options.provider.signatures
            .filter(({ keyType }) => options.hostKeys?.some(key => key.type === keyType))
            // A key with a certificate before the plain ones, as OpenSSH does.
            .sort((a, b) => Number(b.plain !== undefined) - Number(a.plain !== undefined))
            .map(({ name }) => name);
  }

  /** Sends our identification line and, unless it is to wait for the client's, KEXINIT; called once. */
  start(): void {
    this.#push(encodeUtf8(`${this.ident}\r\n`));
    if (this.role === 'server' && this.#options.preferCiphers?.length) this.waitsToOffer = true;
    else this.rekey();
  }

  /** Waits no longer: offers everything to a client that has not made an offer itself. */
  offer(): void {
    if (this.waitsToOffer) this.rekey();
  }

  /**
   * Takes ownership of `chunk`, or borrows it until `keep` is called (see FrameReader).
   * @throws ProtocolError if what comes first is no SSH-2 identification line
   */
  receive(chunk: Uint8Array, lent = false): void {
    if (this.#identReader === undefined) {
      this.#frames.push(chunk, lent);
      return;
    }
    const found = this.#identReader.read(lent ? chunk.slice() : chunk);
    if (found === undefined) return;
    this.peerIdent = found.line;
    this.#peerIdent = found.bytes;
    this.#identReader = undefined;
    this.#frames.push(found.rest);
  }

  /** The chunk that was lent is taken back. */
  keep(): void {
    this.#frames.keep();
  }

  /** What the peer has said so far in place of its identification, one line; a server that turns us away may tell why. */
  get greeting(): string {
    return this.#identReader?.greeting ?? '';
  }

  /** Bytes received and not yet pulled. */
  get inputBytes(): number {
    return this.#frames.waiting;
  }

  /** Bytes that wait for `takeOutput`. */
  get outputBytes(): number {
    return this.#outbox.bytes;
  }

  /** The same, with those that wait for the end of a key exchange. */
  get queuedBytes(): number {
    return this.#outbox.bytes + this.#heldBytes;
  }

  /** Sequence number of the packet that `next` returned last. */
  get lastSequence(): number {
    return (this.#frames.sequence - 1) >>> 0;
  }

  /**
   * // hot — The next packet for the layers above (number 5, 6 or ≥ 50), or undefined if none is complete, a host key question
   * is open, or the account is full: then it is to be called again once the output has been taken.
   * The packet belongs to the caller.
   * @throws ProtocolError if the peer breaks the protocol, DisconnectError if it says goodbye
   */
  next(): Packet | undefined {
    while (this.#question === undefined && this.#identReader === undefined && !this.account.full) {
      let packet = this.#frames.next();
      if (packet === undefined) return undefined;
      if (this.#decompress !== undefined) packet = this.#decompress(packet, MAX_PACKET);
      if (this.mayRekey) this.#rekeyIfDue();
      const number = packet.number;
      if (
        (number >= 50 && this.#exchange === undefined && phaseOf(number) !== undefined) ||
        this.#control(packet, number)
      ) {
        if (number === USERAUTH_SUCCESS.number && this.role === 'client') this.#compressBothWays();
        return packet;
      }
    }
    return undefined;
  }

  /** Everything but plain traffic outside a key exchange; true if the packet is for the layers above. */
  #control(packet: Packet, number: number): boolean {
    // Once the peer's KEXINIT has come, only what the exchange awaits may follow; and 1–4, but not in a strict first
    // exchange.
    if (this.#exchange !== undefined && this.#awaits !== KEXINIT.number) {
      if (number === this.#awaits || (this.#awaits === GUESS && number >= 30 && number <= 49)) {
        this.#resume(packet);
        return false;
      }
      // AsyncSSH 2.10 goes on sending data: they are under the old keys and in their order, so they count like those
      // before.
      const late = number >= 50 && this.exchanges > 0;
      const tolerated = late || number === DISCONNECT.number || (number <= 4 && !(this.strict && this.exchanges === 0));
      // Order: nothing else may get in between of what changes the keys.
      if (!tolerated) throw new ProtocolError(`message ${number} in the middle of a key exchange`);
    }
    switch (number) {
      case DISCONNECT.number: {
        const { reason, description } = decode(DISCONNECT, packet);
        throw new DisconnectError(printable(description), reason);
      }
      case IGNORE.number:
      case DEBUG.number:
      case UNIMPLEMENTED.number:
        return false;
      case KEXINIT.number:
        // What a stranger may have us compute.
        if (this.exchanges > 0 && !this.mayRekey) throw new ProtocolError('a second key exchange before sign-in');
        if (this.#exchange === undefined) {
          this.#steer(packet);
          this.rekey();
        }
        this.#resume(packet);
        return false;
      case EXT_INFO.number:
        // Nobody has vouched for it before: not heeded.
        if (this.exchanges === 0) break;
        readExtensions(packet, this.extensions);
        return false;
    }
    const phase = phaseOf(number);
    if (phase !== undefined && phase !== 'kex') {
      if (this.exchanges > 0) return true;
      // Authentication: before there are keys nobody asks for a service, as in sshd.
      if (number >= 50) throw new ProtocolError(`message ${number} before the first key exchange`);
    }
    // What we do not know, or cannot use now, has no effect (RFC 4253 §11.4). As in sshd that goes for stray messages of a key exchange, too.
    this.unimplemented();
    return false;
  }

  /**
   * Answers the packet that `next` returned last as one that is not known (RFC 4253 §11.4), which is what becomes of one out of place
   * that has no effect. @throws ProtocolError if a peer that has not signed in has sent too many
   */
  unimplemented(): void {
    // What a stranger may have us compute.
    if (!this.#signedIn && ++this.#unknown > MAX_UNKNOWN)
      throw new ProtocolError('too many unknown messages before sign-in');
    this.send(encode(UNIMPLEMENTED, { sequence: this.lastSequence }));
  }

  /** The client has made its offer first: ours may depend on it. */
  #steer(packet: Packet): void {
    const { preferCiphers } = this.#options;
    if (this.role === 'client' || !preferCiphers?.length) return;
    this.#ciphers = steer(this.provider, decode(KEXINIT, packet), preferCiphers);
  }

  /** // hot — Takes ownership of `packet`. Numbers from 50 up (and 5 to 7) wait while keys are exchanged. */
  send(packet: Packet): void {
    const { number } = packet;
    if (this.exchanging && (number >= 50 || (number >= 5 && number <= 7))) {
      this.#hold(packet, number);
      return;
    }
    this.#seal(packet);
    // Memory.
    if (!this.account.fits(0)) throw new ProtocolError('too many answers wait for a peer that does not read');
    if (this.mayRekey) this.#rekeyIfDue();
  }

  /** What the peer sent before it saw our KEXINIT has to be answered; one that goes on asking and never exchanges keys is none to wait for. */
  #hold(packet: Packet, number: number): void {
    if (isAnswer(number)) {
      const cost = packet.bytes.length + OVERHEAD;
      this.account.keep(cost, 'messages before the key exchange is finished');
      this.#heldCost += cost;
    }
    this.#heldBytes += packet.length;
    this.#held.push(packet);
  }

  #seal(packet: Packet): void {
    // Order: a sequence number would come twice.
    if (this.#sentPackets >= MAX_PACKETS) throw new ProtocolError('too many packets under one key');
    const { number } = packet;
    const outbox = this.#outbox;
    outbox.small = packet.length < SMALL;
    outbox.answer = isAnswer(number);
    this.#sealer.seal(this.#compress === undefined ? packet : this.#compress(packet), this.#sendSequence, outbox);
    this.#sendSequence = (this.#sendSequence + 1) >>> 0;
    this.#sentPackets++;
    if (number === USERAUTH_SUCCESS.number) this.#compressBothWays();
    this.#announce();
  }

  #announce(): void {
    if (!this.#outbox.unannounced) return;
    this.#outbox.unannounced = false;
    this.#events.output();
  }

  /** The message that ends sign-in has gone by, and is the last that is not compressed (if that was agreed on at all). */
  #compressBothWays(): void {
    if (this.#signedIn) return;
    this.#signedIn = true;
    this.#compress = this.#compression(this.role === 'client')?.compressor();
    this.#decompress = this.#compression(this.role === 'server')?.decompressor();
  }

  #compression(toServer: boolean): CompressionAlgorithm | undefined {
    const direction = toServer ? this.negotiated!.clientToServer : this.negotiated!.serverToClient;
    return byName(this.#options.compression ?? [], direction.compression);
  }

  /** Raw bytes, for the lines before the first packet. */
  #push(bytes: Uint8Array): void {
    this.#outbox.push(bytes);
    this.#announce();
  }

  /**
   * What is to be sent, in order; the caller owns it. Nothing if there are less than `least` bytes, for an owner whose socket
   * has enough for now. `output` tells of what comes after this call.
   */
  takeOutput(least = 0): Uint8Array[] {
    return this.#outbox.take(least);
  }

  /** Tells the peer why it is over: DISCONNECT, or a line of text to one that has not identified itself. */
  disconnect(reason: number, said: string): void {
    const description = said.slice(0, MAX_DESCRIPTION);
    if (this.peerIdent === '') this.#push(encodeUtf8(`${description}\r\n`));
    else this.#seal(encode(DISCONNECT, { reason, description, language: new Uint8Array(0) }));
  }

  /** Starts a key (re-)exchange unless one is under way. */
  rekey(): void {
    if (this.#exchange !== undefined) return;
    this.waitsToOffer = false;
    this.#exchange = this.#run();
    this.#resume();
  }

  /** The client's user has judged the host key. */
  answerHostKey(accepted: boolean): void {
    if (this.#question === undefined) return;
    if (accepted && 'hostKey' in this.#question) this.#accepted = this.#question.hostKey;
    this.#question = undefined;
    this.#resume(accepted);
  }

  /** What was said to be costly may be computed. */
  proceed(): void {
    this.answerHostKey(true);
  }

  #rekeyIfDue(): void {
    if (this.#exchange !== undefined) {
      // As in `#seal`.
      if (this.#frames.packets >= MAX_PACKETS) throw new ProtocolError('too many packets under one key');
      return;
    }
    const bytes = this.#options.rekeyBytes ?? REKEY_BYTES;
    const packets = this.#options.rekeyPackets ?? REKEY_PACKETS;
    if (
      this.#outbox.pushed >= bytes ||
      this.#frames.bytes >= bytes ||
      this.#sentPackets >= packets ||
      this.#frames.packets >= packets
    ) {
      this.rekey();
    }
  }

  #resume(value?: Packet | boolean): void {
    // The first `next` of a generator ignores its argument.
    const step = this.#exchange!.next(value as Packet);
    if (step.done) {
      this.#exchange = undefined;
      this.#awaits = KEXINIT.number;
      this.exchanges++;
      return;
    }
    if (typeof step.value === 'number') {
      this.#awaits = step.value;
      return;
    }
    if ('hostKey' in step.value && this.#accepted !== undefined && equalBytes(step.value.hostKey, this.#accepted))
      return this.#resume(true);
    this.#question = step.value;
    if ('hostKey' in step.value) this.#events.hostKey(step.value);
    else if (this.#events.costly === undefined) this.proceed();
    else this.#events.costly(step.value.work);
  }

  /** One whole key exchange (RFC 4253 §7). */
  *#run(): Kex<void> {
    const first = this.sessionId === undefined;
    const ours = kexInit(
      this.provider,
      this.role,
      this.#hostKeyNames,
      this.#compressionNames(),
      first,
      this.#ciphers,
      this.#options.kex,
    );
    const ourInit = encode(KEXINIT, ours);
    const ourPayload = ourInit.payload.slice();
    this.exchanging = true;
    this.#events.exchanging(true);
    this.#seal(ourInit);

    const theirInit = (yield KEXINIT.number) as Packet;
    const theirPayload = theirInit.payload.slice();
    const theirs = decode(KEXINIT, theirInit);
    if (first) {
      this.strict = theirs.kex.includes(this.role === 'client' ? STRICT_S : STRICT_C);
      // Order: whoever is in between may have put a message in, and cut off another one later (CVE-2023-48795).
      if (this.strict && this.lastSequence !== 0)
        throw new ProtocolError('strict kex: KEXINIT was not the first packet');
    }
    const client = this.role === 'client' ? ours : theirs;
    const server = this.role === 'client' ? theirs : ours;
    this.negotiated = negotiate(this.provider, client, server);
    if (guessedWrong(theirs, ours)) yield GUESS;

    const context = {
      provider: this.provider,
      negotiated: this.negotiated,
      transcript:
        this.role === 'client'
          ? { clientIdent: this.ident, serverIdent: this.#peerIdent, clientInit: ourPayload, serverInit: theirPayload }
          : { clientIdent: this.#peerIdent, serverIdent: this.ident, clientInit: theirPayload, serverInit: ourPayload },
      send: (packet: Packet) => this.#seal(packet),
    };
    const result: KexResult =
      this.role === 'client'
        ? yield* clientExchange(context)
        : yield* serverExchange(context, this.#options.hostKeys ?? []);
    this.sessionId ??= result.hash;
    this.hostKey ??= result.hostKey;

    this.#seal(encode(NEWKEYS, {}));
    this.#sealer = this.#newSealer(result);
    if (this.#signedIn) this.#compress = this.#compression(this.role === 'client')?.compressor();
    if (this.strict) this.#sendSequence = 0;
    this.#outbox.pushed = 0;
    this.#sentPackets = 0;
    this.exchanging = false;
    // RFC 8308 §2.4: right after our first NEWKEYS.
    if (first && theirs.kex.includes(this.role === 'server' ? EXT_INFO_C : EXT_INFO_S))
      this.#seal(ourExtensions(this.role, this.provider));
    const held = this.#held;
    this.#held = [];
    this.account.drop(this.#heldCost);
    this.#heldBytes = this.#heldCost = 0;
    for (const packet of held) this.#seal(packet);
    this.#events.exchanging(false);

    decode(NEWKEYS, (yield NEWKEYS.number) as Packet);
    this.#frames.opener = this.#newOpener(result);
    if (this.#signedIn) this.#decompress = this.#compression(this.role === 'server')?.decompressor();
    if (this.strict) this.#frames.sequence = 0;
    this.#frames.bytes = 0;
    this.#frames.packets = 0;
  }

  /** A client that can compress wishes to; a server leaves it to the client. */
  #compressionNames(): string[] {
    return [...(this.#options.compression ?? []).map(({ name }) => name), 'none'];
  }

  #newSealer(result: KexResult): Sealer {
    const { cipher, key, iv, mac, macKey } = this.#keys(result, this.role === 'client');
    return cipher.sealer(key, iv, this.provider.random, mac, macKey);
  }

  #newOpener(result: KexResult) {
    const { cipher, key, iv, mac, macKey } = this.#keys(result, this.role === 'server');
    return cipher.opener(key, iv, mac, macKey);
  }

  #keys({ algorithm, hash, secret }: KexResult, toServer: boolean) {
    const direction: Direction = toServer ? this.negotiated!.clientToServer : this.negotiated!.serverToClient;
    const cipher = byName(this.provider.ciphers, direction.cipher)!;
    const mac = direction.mac === undefined ? undefined : byName(this.provider.macs, direction.mac)!;
    const derive = (letter: 'A' | 'B' | 'C' | 'D' | 'E' | 'F', length: number) =>
      deriveKey(algorithm, secret, hash, letter, this.sessionId!, length);
    return {
      cipher,
      mac,
      iv: derive(toServer ? 'A' : 'B', cipher.ivLength),
      key: derive(toServer ? 'C' : 'D', cipher.keyLength),
      macKey: mac && derive(toServer ? 'E' : 'F', mac.keyLength),
    };
  }
}
