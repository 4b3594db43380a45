// A scripted peer of one Connection: says any packet at any moment, in the clear and under keys, and takes apart what it hears.
// It frames, hashes and derives by itself (RFC 4253 §6–8), so that a mistake in src/protocol/transport is not repeated here.
import * as assert from 'uvu/assert';
import { byName, type CryptoProvider, type KexInitiator, type PrivateKey } from '../../src/crypto/provider.ts';
import {
  type ClientConnectionOptions,
  Connection,
  type ConnectionEvents,
  type ServerConnectionOptions,
} from '../../src/protocol/connection.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import {
  DISCONNECT,
  KEX_ECDH_INIT,
  KEX_ECDH_REPLY,
  KEXINIT,
  NEWKEYS,
  SERVICE_ACCEPT,
  SERVICE_REQUEST,
  USERAUTH_REQUEST,
  USERAUTH_SUCCESS,
} from '../../src/protocol/messages.ts';
import { type Fields, type Layout, type Message, pack, unpack } from '../../src/protocol/wire/codec.ts';
import { Packet } from '../../src/protocol/wire/packet.ts';
import { concat, Writer } from '../../src/protocol/wire/reader.ts';
import { insecure, insecureKey, seeded } from './insecure.ts';

export type Init = Fields<typeof KEXINIT.layout>;
/** What a KEXINIT says that offers all of the provider's algorithms; `marker` behind the key exchanges, `fields` in place of the rest. */
export function initOf(provider: CryptoProvider, marker?: string, fields: Partial<Init> = {}): Init {
  const names = (list: readonly { name: string }[]) => list.map(({ name }) => name);
  const { ciphers, macs, kex, signatures } = provider;
  return {
    cookie: new Uint8Array(16).fill(7),
    kex: [...names(kex), ...(marker === undefined ? [] : [marker])],
    hostKey: names(signatures),
    cipherClientToServer: names(ciphers),
    cipherServerToClient: names(ciphers),
    macClientToServer: names(macs),
    macServerToClient: names(macs),
    compressionClientToServer: ['none'],
    compressionServerToClient: ['none'],
    languageClientToServer: [],
    languageServerToClient: [],
    firstKexPacketFollows: false,
    reserved: 0,
    ...fields,
  };
}
type Role = 'client' | 'server';

export interface Heard {
  readonly number: number;
  readonly payload: Uint8Array;
  /** Its sequence number, as counted here. */
  readonly sequence: number;
}

export interface RawPeerOptions {
  /** What this peer is; the Connection is the other. */
  role?: Role;
  provider?: CryptoProvider;
  /** The server's, whoever that is. */
  hostKey?: PrivateKey;
  core?: Partial<ServerConnectionOptions> & Partial<ClientConnectionOptions>;
  events?: Partial<ConnectionEvents>;
}

/** Seals a payload into a frame, takes frames apart: what changes at NEWKEYS. */
export interface Way {
  /** Bytes that must have come before `frameLength` can tell. */
  readonly headLength: number;
  seal(payload: Uint8Array, sequence: number): Uint8Array;
  /** Of the whole frame at `at`; once a frame. */
  frameLength(bytes: Uint8Array, at: number, sequence: number): number;
  /** The payload of the frame `bytes[at..end)`. */
  open(bytes: Uint8Array, at: number, end: number, sequence: number): Uint8Array;
}

const nothing: Uint8Array = new Uint8Array(0);

/** A packet in the clear (RFC 4253 §6), `padding` bytes of padding if that is given, else the least that is right. */
export function clearFrame(payload: Uint8Array, padding = 4 + ((8 - ((payload.length + 9) % 8)) % 8)): Uint8Array {
  return new Writer()
    .uint32(1 + payload.length + padding)
    .byte(padding)
    .raw(payload)
    .raw(new Uint8Array(padding))
    .finish();
}

/** Before the first NEWKEYS. */
export const clear: Way = {
  headLength: 5,
  seal: payload => clearFrame(payload),
  frameLength(bytes, at) {
    const packetLength = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0);
    assert.is((packetLength + 4) % 8, 0, 'whole blocks of 8');
    assert.ok(packetLength + 4 >= 16, 'at least 16 bytes');
    return packetLength + 4;
  },
  open(bytes, at, end) {
    const padding = bytes[at + 4];
    assert.ok(padding >= 4, 'at least four bytes of padding');
    return bytes.slice(at + 5, end - padding);
  },
};

export class RawPeer {
  readonly role: Role;
  readonly provider: CryptoProvider;
  readonly hostKey: PrivateKey;
  readonly core: Connection;
  /** The core's identification line without CR LF. */
  coreIdent = '';
  /** What the core said in text to a peer that it does not take for one of SSH-2. */
  coreText = '';
  ident = 'SSH-2.0-raw';
  /** Packets heard and not yet taken. */
  heard: Heard[] = [];
  strict = false;
  sessionId: Uint8Array | undefined;
  /** Of the last exchange. */
  hash: Uint8Array | undefined;
  /** Sequence number of the next packet we send. */
  sendSequence = 0;
  receiveSequence = 0;
  /** The other side's KEXINIT and the last of ours. */
  theirs: Init | undefined;
  ours: Init | undefined;
  /** All key material of the last exchange, for tests that compare. */
  keys: Uint8Array[] = [];
  #sending: Way = clear;
  #hearing: Way = clear;
  #next: { sending: Way; hearing: Way } | undefined;
  #theirInit: Uint8Array = nothing;
  #ourInit: Uint8Array = nothing;
  #initiator: KexInitiator | undefined;
  #point: Uint8Array = nothing;

  constructor(options: RawPeerOptions = {}) {
    this.role = options.role ?? 'client';
    this.provider = options.provider ?? insecure(seeded(1).bytes);
    this.hostKey = options.hostKey ?? insecureKey(new Uint8Array(8));
    const common = { provider: this.provider, ...options.core };
    this.core =
      this.role === 'client'
        ? new Connection(
            { role: 'server', hostKeys: [this.hostKey], methods: ['publickey'], ...common },
            { output() {}, auth: (_question, answer) => answer({ result: 'accept' }), ...options.events },
          )
        : new Connection(
            { role: 'client', user: 'alice', credentials: [], ...common },
            { output() {}, hostKey: (_question, answer) => answer(true), ...options.events },
          );
  }

  // Ways to begin.

  /** Nothing has been said but what the core begins with. */
  static fresh(options: RawPeerOptions = {}): RawPeer {
    const peer = new RawPeer(options);
    peer.core.start();
    peer.pull();
    return peer;
  }

  /** Identification lines have passed, and the other side's KEXINIT has been heard. */
  static started(options: RawPeerOptions = {}): RawPeer {
    const peer = RawPeer.fresh(options);
    peer.text(`${peer.ident}\r\n`);
    return peer;
  }

  /** Keys are in use. */
  static keyed(options: RawPeerOptions = {}, init: Partial<Init> = {}): RawPeer {
    const peer = RawPeer.started(options);
    peer.exchange(init);
    return peer;
  }

  /** Signed in. */
  static ready(options: RawPeerOptions = {}, init: Partial<Init> = {}): RawPeer {
    const peer = RawPeer.keyed(options, init);
    if (peer.role === 'client') {
      peer.askService();
      peer.send(USERAUTH_REQUEST, { user: 'alice', service: 'ssh-connection', method: 'none', data: nothing });
      peer.take(USERAUTH_SUCCESS);
    } else {
      peer.take(SERVICE_REQUEST);
      peer.send(SERVICE_ACCEPT, { service: 'ssh-userauth' });
      peer.take(USERAUTH_REQUEST);
      peer.send(USERAUTH_SUCCESS, {});
    }
    assert.is(peer.core.stage, 'connection');
    return peer;
  }

  askService(): void {
    this.send(SERVICE_REQUEST, { service: 'ssh-userauth' });
    this.take(SERVICE_ACCEPT);
  }

  // Saying.

  text(text: string): void {
    this.bytes(new Uint8Array(Buffer.from(text, 'latin1')));
  }

  bytes(bytes: Uint8Array): void {
    this.core.receive(bytes.slice());
    this.pull();
  }

  /** The frame of a payload, counted as sent; for tests that put several into one chunk. */
  frame(payload: Uint8Array): Uint8Array {
    const frame = this.#sending.seal(payload, this.sendSequence);
    this.sendSequence = (this.sendSequence + 1) >>> 0;
    return frame;
  }

  payload(payload: Uint8Array): void {
    this.bytes(this.frame(payload));
  }

  send<L extends Layout>(message: Message<L>, fields: Fields<L>): void {
    this.payload(payloadOf(message, fields));
  }

  /** Several payloads in one chunk. */
  burst(...payloads: Uint8Array[]): void {
    this.bytes(concat(...payloads.map(payload => this.frame(payload))));
  }

  // Hearing.

  /** Takes apart what the core has to say. */
  pull(): void {
    let bytes: Uint8Array = concat(...this.core.takeOutput());
    if (this.coreIdent === '') {
      const end = bytes.indexOf(10);
      if (end < 0) return;
      this.coreIdent = Buffer.from(bytes.subarray(0, end - 1)).toString('latin1');
      bytes = bytes.slice(end + 1);
    }
    if (this.core.closed && this.core.transport.peerIdent === '') {
      this.coreText += Buffer.from(bytes).toString('latin1');
      return;
    }
    for (let at = 0; at < bytes.length; ) {
      const sequence = this.receiveSequence;
      const end = at + this.#hearing.frameLength(bytes, at, sequence);
      const payload = this.#hearing.open(bytes, at, end, sequence);
      this.receiveSequence = (sequence + 1) >>> 0;
      at = end;
      this.heard.push({ number: payload[0], payload, sequence });
      this.#note(payload);
    }
  }

  /** The next packet, which has to be `message`. */
  take<L extends Layout>(message: Message<L>): Fields<L> {
    const heard = this.heard.shift();
    assert.ok(heard, `${message.name} was expected, nothing came${this.core.error ? `: ${this.core.error}` : ''}`);
    assert.is(
      heard.number,
      message.number,
      `${message.name} was expected${this.core.error ? `: ${this.core.error}` : ''}`,
    );
    return unpack(message.layout, heard.payload, 1);
  }

  /** Nothing (more) has been said, and the connection lives. */
  quiet(): void {
    assert.equal(
      this.heard.map(({ number }) => number),
      [],
      'nothing more was to be said',
    );
    assert.is(this.core.error, undefined);
  }

  /** The last thing heard is DISCONNECT with `reason`, and the connection is over by a ProtocolError. */
  disconnected(reason: number, text = /./): void {
    const last = this.heard.at(-1);
    assert.ok(last, 'a DISCONNECT was expected');
    assert.is(last.number, DISCONNECT.number, 'a DISCONNECT was expected');
    const fields = unpack(DISCONNECT.layout, last.payload, 1);
    assert.is(fields.reason, reason, fields.description);
    assert.match(fields.description, text);
    assert.instance(this.core.error, ProtocolError);
    assert.ok(this.core.closed);
    this.heard = [];
  }

  // Key exchange, step by step and whole.

  /** Our KEXINIT, with what is given in place of the provider's lists; the strict marker is among the defaults. */
  sendKexInit(fields: Partial<Init> = {}): void {
    this.payload(this.kexInit(fields));
  }

  /** Its payload; noted as said. */
  kexInit(fields: Partial<Init> = {}): Uint8Array {
    const marker = this.role === 'client' ? 'kex-strict-c-v00@openssh.com' : 'kex-strict-s-v00@openssh.com';
    const init = initOf(this.provider, marker, fields);
    if (this.sessionId === undefined) this.strict = init.kex.includes(marker);
    this.ours = init;
    this.#ourInit = payloadOf(KEXINIT, init);
    return this.#ourInit;
  }

  /** Client: KEX_ECDH_INIT, with `point` in place of a right one if that is given. */
  sendInit(point?: Uint8Array): void {
    this.#initiator = this.#kex.initiate(this.provider.random);
    this.send(KEX_ECDH_INIT, { init: point ?? this.#initiator.init });
  }

  /** Server: KEX_ECDH_REPLY, with what is given in place of the right fields. */
  sendReply(fields: Partial<Fields<typeof KEX_ECDH_REPLY.layout>> = {}): void {
    this.payload(this.reply(fields));
  }

  reply(fields: Partial<Fields<typeof KEX_ECDH_REPLY.layout>> = {}): Uint8Array {
    const { reply, secret } = this.#kex.respond(this.#point, this.provider.random);
    this.#agree(this.hostKey.blob, this.#point, reply, secret);
    const signer = byName(this.provider.signatures, this.#agreed('hostKey'))!;
    const signature = signer.sign(this.hostKey, this.hash!, this.provider.random);
    return payloadOf(KEX_ECDH_REPLY, { hostKey: this.hostKey.blob, reply, signature, ...fields });
  }

  /** NEWKEYS, and what follows is under the new keys. */
  sendNewKeys(): void {
    const frame = this.frame(payloadOf(NEWKEYS, {}));
    this.newKeys();
    this.bytes(frame);
  }

  /** Switches what we send to the new keys, as after NEWKEYS. */
  newKeys(): void {
    this.#sending = this.#next!.sending;
    if (this.strict) this.sendSequence = 0;
  }

  /** The whole exchange, ours to begin or the core's; takes the packets that belong to it. */
  exchange(fields: Partial<Init> = {}): void {
    this.sendKexInit(fields);
    this.take(KEXINIT);
    this.finishExchange();
  }

  /** All that comes after the two KEXINITs. */
  finishExchange(): void {
    this.keyExchange();
    this.take(NEWKEYS);
    this.sendNewKeys();
  }

  /** The packets of the key exchange method, between the KEXINITs and the NEWKEYS (RFC 4253 §7). */
  keyExchange(): void {
    if (this.role === 'client') {
      this.sendInit();
      this.take(KEX_ECDH_REPLY);
    } else {
      this.take(KEX_ECDH_INIT);
      this.sendReply();
    }
  }

  get #kex() {
    return byName(this.provider.kex, this.#agreed('kex'))!;
  }

  #agreed(list: 'kex' | 'hostKey' | Direction): string {
    const [client, server] = this.role === 'client' ? [this.ours!, this.theirs!] : [this.theirs!, this.ours!];
    return agreedName(client[list], server[list]);
  }

  #note(payload: Uint8Array): void {
    switch (payload[0]) {
      case KEXINIT.number:
        this.#theirInit = payload;
        this.theirs = unpack(KEXINIT.layout, payload, 1);
        break;
      case KEX_ECDH_INIT.number:
        this.#point = unpack(KEX_ECDH_INIT.layout, payload, 1).init;
        break;
      case KEX_ECDH_REPLY.number: {
        const { hostKey, reply, signature } = unpack(KEX_ECDH_REPLY.layout, payload, 1);
        this.#agree(hostKey, this.#initiator!.init, reply, this.#initiator!.finish(reply));
        const verifier = byName(this.provider.signatures, this.#agreed('hostKey'))!;
        assert.ok(verifier.verify(hostKey, this.hash!, signature), 'the signature over the exchange hash');
        break;
      }
      case NEWKEYS.number:
        assert.ok(this.#next, 'NEWKEYS comes after an exchange');
        this.#hearing = this.#next.hearing;
        if (this.strict) this.receiveSequence = 0;
        break;
    }
  }

  /** H and the keys (RFC 4253 §7.2, §8). */
  #agree(hostKey: Uint8Array, init: Uint8Array, reply: Uint8Array, secret: Uint8Array): void {
    const idents = this.role === 'client' ? [this.ident, this.coreIdent] : [this.coreIdent, this.ident];
    const inits = this.role === 'client' ? [this.#ourInit, this.#theirInit] : [this.#theirInit, this.#ourInit];
    const parts = [...idents, ...inits, hostKey, init, reply];
    const { hash, sessionId, derive } = agree(this.#kex.hash, parts, secret, this.sessionId);
    this.hash = hash;
    this.sessionId = sessionId;
    this.keys = [...'ABCDEF'].map(letter => derive(letter, 64));
    this.#next = ways(this.provider, this.role, name => this.#agreed(name), derive);
  }
}

/** RFC 4253 §7.1: the client's first name that the server has, too; markers are no methods (RFC 8308 §2.2). */
export const agreedName = (client: readonly string[], server: readonly string[]): string =>
  client.find(name => server.includes(name) && !/^(kex-strict|ext-info)-/.test(name))!;

/** The lists of a KEXINIT that decide about the keys of both directions. */
export type Direction = `${'cipher' | 'mac'}${'ClientToServer' | 'ServerToClient'}`;
type Derive = (letter: string, length: number) => Uint8Array;

/**
 * The exchange hash over `parts` and the secret, the session's identifier, and what derives keys from them (RFC 4253
 * §7.2, §8).
 */
export function agree(
  hashed: (data: Uint8Array) => Uint8Array,
  parts: readonly (Uint8Array | string)[],
  secret: Uint8Array,
  known?: Uint8Array,
): { hash: Uint8Array; sessionId: Uint8Array; derive: Derive } {
  const transcript = new Writer();
  for (const part of parts) transcript.string(part);
  const hash = hashed(transcript.raw(secret).finish());
  const sessionId = known ?? hash;
  const derive: Derive = (letter, length) => {
    let key: Uint8Array = hashed(concat(secret, hash, Buffer.from(letter), sessionId));
    while (key.length < length) key = concat(key, hashed(concat(secret, hash, key)));
    return key.slice(0, length);
  };
  return { hash, sessionId, derive };
}

/** Both directions under new keys, as `role` uses them. */
export function ways(
  provider: CryptoProvider,
  role: Role,
  agreed: (list: Direction) => string,
  derive: Derive,
): { sending: Way; hearing: Way } {
  const way = (direction: 'ClientToServer' | 'ServerToClient', [iv, key, macKey]: string): Way => {
    const cipher = byName(provider.ciphers, agreed(`cipher${direction}`))!;
    const mac = cipher.aead ? undefined : byName(provider.macs, agreed(`mac${direction}`))!;
    const secrets = [derive(key, cipher.keyLength), derive(iv, cipher.ivLength)] as const;
    const sealer = cipher.sealer(...secrets, provider.random, mac, mac && derive(macKey, mac.keyLength));
    const opener = cipher.opener(...secrets, mac, mac && derive(macKey, mac.keyLength));
    return {
      headLength: opener.headLength,
      seal(payload, sequence) {
        const chunks: Uint8Array[] = [];
        sealer.seal(Packet.from(payload), sequence, chunks);
        return concat(...chunks);
      },
      frameLength: (bytes, at, sequence) => opener.frameLength(bytes, at, sequence),
      open: (bytes, at, end, sequence) => opener.open(bytes, at, end, sequence).payload.slice(),
    };
  };
  const toServer = way('ClientToServer', 'ACE');
  const toClient = way('ServerToClient', 'BDF');
  return role === 'client' ? { sending: toServer, hearing: toClient } : { sending: toClient, hearing: toServer };
}

/** A message as bytes. */
export function payloadOf<L extends Layout>(message: Message<L>, fields: Fields<L>): Uint8Array {
  return pack(message.layout, fields, new Writer(64).byte(message.number));
}
