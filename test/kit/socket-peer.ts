// A scripted client of a server on a real socket, whoever's server it is: says any payload at any moment, in the clear
// and under keys, and keeps all
// that it hears. Like `RawPeer` it frames, hashes and derives by itself (RFC 4253 §6–8), but it takes its time.
import type { Socket } from 'node:net';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { byName, type CryptoProvider, type KexInitiator, type PrivateKey } from '../../src/crypto/provider.ts';
import {
  CHANNEL_OPEN,
  CHANNEL_OPEN_CONFIRMATION,
  CHANNEL_REQUEST,
  CHANNEL_SUCCESS,
  KEX_ECDH_INIT,
  KEX_ECDH_REPLY,
  KEXINIT,
  NEWKEYS,
  SERVICE_ACCEPT,
  SERVICE_REQUEST,
  USERAUTH_REQUEST,
  USERAUTH_SUCCESS,
} from '../../src/protocol/messages.ts';
import { type Fields, type Layout, type Message, unpack } from '../../src/protocol/wire/codec.ts';
import { concat, Writer } from '../../src/protocol/wire/reader.ts';
import { tcpConnect } from './loopback.ts';
import { type Scope, soon } from './processes.ts';
import { agree, agreedName, clear, type Init, initOf, payloadOf, type Way, ways } from './raw-peer.ts';
import { only } from './ssh.ts';

const nothing: Uint8Array = new Uint8Array(0);

/** What is quick, and what every server has. */
export const provider: CryptoProvider = only(accelerated, {
  kex: 'curve25519-sha256',
  cipher: 'aes128-gcm@openssh.com',
});

export class SocketPeer {
  readonly socket: Socket;
  /** Our identification line without CR LF. */
  ident: string;
  /** The server's identification line without CR LF. */
  theirIdent = '';
  /** All payloads heard, in their order. */
  readonly heard: Uint8Array[] = [];
  /** The server has closed its side, or speaks in the clear. */
  over = false;
  strict = false;
  sessionId: Uint8Array | undefined;
  /** The server's number of the channel that `channel` opened. */
  remote = -1;
  #bytes: Uint8Array = nothing;
  #length: number | undefined;
  #sending: Way = clear;
  #hearing: Way = clear;
  #next: { sending: Way; hearing: Way } | undefined;
  #sendSequence = 0;
  #receiveSequence = 0;
  #ours: Init | undefined;
  #theirs: Init | undefined;
  #ourInit: Uint8Array = nothing;
  #theirInit: Uint8Array = nothing;
  #initiator: KexInitiator | undefined;
  #wake: () => void = () => {};

  private constructor(socket: Socket, ident: string) {
    this.socket = socket;
    this.ident = ident;
    const over = () => {
      this.over = true;
      this.#wake();
    };
    socket.on('data', (chunk: Buffer) => {
      if (this.over) return;
      try {
        this.#read(chunk);
      } catch {
        // No packet, but a word in the clear to a peer that is not taken for one of SSH-2.
        this.over = true;
      }
      this.#wake();
    });
    socket.on('end', over);
    socket.on('close', over);
  }

  /** Connected; nothing has been said. */
  static async connect(scope: Scope, port: number, ident = 'SSH-2.0-raw'): Promise<SocketPeer> {
    return new SocketPeer(await tcpConnect(scope, port), ident);
  }

  /** Keys are in use. */
  static async keyed(scope: Scope, port: number, init: Partial<Init> = {}): Promise<SocketPeer> {
    const peer = await SocketPeer.connect(scope, port);
    peer.text(`${peer.ident}\r\n`);
    await peer.exchange(init);
    return peer;
  }

  /** A whole key exchange of ours. */
  async exchange(fields: Partial<Init> = {}): Promise<void> {
    const [inits, replies, keys] = [KEXINIT, KEX_ECDH_REPLY, NEWKEYS].map(({ number }) => this.count(number) + 1);
    this.sendKexInit(fields);
    await this.hears(KEXINIT.number, inits);
    this.sendInit();
    await this.hears(KEX_ECDH_REPLY.number, replies);
    await this.hears(NEWKEYS.number, keys);
    this.sendNewKeys();
  }

  /** Has asked for user authentication. */
  async service(): Promise<void> {
    this.send(SERVICE_REQUEST, { service: 'ssh-userauth' });
    await this.hears(SERVICE_ACCEPT.number);
  }

  /** The data of a publickey request that `key` signs (RFC 4252 §7). */
  signed(user: string, key: PrivateKey, service = 'ssh-connection'): Uint8Array {
    const fields = (writer: Writer) => writer.boolean(true).string(key.type).string(key.blob);
    const covered = new Writer().string(this.sessionId!).byte(USERAUTH_REQUEST.number).string(user).string(service);
    const signature = byName(provider.signatures, key.type)!.sign(
      key,
      fields(covered.string('publickey')).finish(),
      provider.random,
    );
    return fields(new Writer()).string(signature).finish();
  }

  async signIn(user: string, key: PrivateKey): Promise<void> {
    await this.service();
    this.request(user, 'publickey', this.signed(user, key));
    await this.hears(USERAUTH_SUCCESS.number);
  }

  /** A USERAUTH_REQUEST. */
  request(
    user: string | Uint8Array,
    method: string | Uint8Array,
    data: Uint8Array = nothing,
    service: string | Uint8Array = 'ssh-connection',
  ): void {
    const writer = new Writer().byte(USERAUTH_REQUEST.number).string(user).string(service).string(method);
    this.payload(writer.raw(data).finish());
  }

  /** A session that runs `command`: our number is 5, theirs `remote`. */
  async channel(command: string): Promise<void> {
    this.send(CHANNEL_OPEN, { type: 'session', sender: 5, window: 0x7fff_ffff, maxPacket: 32768, data: nothing });
    const confirmation = await this.hears(CHANNEL_OPEN_CONFIRMATION.number);
    this.remote = unpack(CHANNEL_OPEN_CONFIRMATION.layout, confirmation, 1).sender;
    const data = new Writer().string(command).finish();
    this.send(CHANNEL_REQUEST, { recipient: this.remote, type: 'exec', wantReply: true, data });
    await this.hears(CHANNEL_SUCCESS.number);
  }

  // Saying.

  text(text: string): void {
    this.socket.write(Buffer.from(text, 'latin1'));
  }

  payload(payload: Uint8Array): void {
    const frame = this.#sending.seal(payload, this.#sendSequence);
    this.#sendSequence = (this.#sendSequence + 1) >>> 0;
    this.socket.write(frame);
  }

  send<L extends Layout>(message: Message<L>, fields: Fields<L>): void {
    this.payload(payloadOf(message, fields));
  }

  sendKexInit(fields: Partial<Init> = {}): void {
    const init = initOf(provider, 'kex-strict-c-v00@openssh.com', fields);
    if (this.sessionId === undefined) this.strict = init.kex.includes('kex-strict-c-v00@openssh.com');
    this.sendKexInitAs(payloadOf(KEXINIT, init), init);
  }

  /** The same with `payload` as it goes over the wire. */
  sendKexInitAs(payload: Uint8Array, init = this.#ours!): void {
    this.#ours = init;
    this.#ourInit = payload;
    this.payload(payload);
  }

  /** Whether a KEXINIT has gone out. */
  get began(): boolean {
    return this.#ours !== undefined;
  }

  /** KEX_ECDH_INIT, with `point` in place of a right one if that is given. */
  sendInit(point?: Uint8Array): void {
    this.#initiator = byName(provider.kex, this.#agreed('kex'))!.initiate(provider.random);
    this.send(KEX_ECDH_INIT, { init: point ?? this.#initiator.init });
  }

  /** NEWKEYS, and what follows is under the new keys. */
  sendNewKeys(): void {
    this.send(NEWKEYS, {});
    this.#sending = this.#next!.sending;
    if (this.strict) this.#sendSequence = 0;
  }

  // Hearing.

  count(number: number): number {
    return this.heard.filter(payload => payload[0] === number).length;
  }

  /** The payload that is the `times`th of this number. @throws if the server closes before */
  async hears(number: number, times = 1): Promise<Uint8Array> {
    await this.until(() => this.count(number) >= times, `message ${number}`);
    if (this.count(number) < times) throw new Error(`closed before message ${number}, after ${this.numbers}`);
    return this.heard.filter(payload => payload[0] === number)[times - 1];
  }

  /** When `condition` holds, or the server has closed. */
  async until(condition: () => boolean, what = 'the server'): Promise<void> {
    while (!this.over && !condition()) await soon(what, new Promise<void>(resolve => (this.#wake = resolve)));
  }

  /** The numbers of all that was heard. */
  get numbers(): number[] {
    return this.heard.map(payload => payload[0]);
  }

  #read(chunk: Uint8Array): void {
    let bytes = concat(this.#bytes, chunk);
    if (this.theirIdent === '') {
      const end = bytes.indexOf(10);
      if (end < 0) return void (this.#bytes = bytes);
      this.theirIdent = Buffer.from(bytes.subarray(0, end)).toString('latin1').trimEnd();
      bytes = bytes.slice(end + 1);
    }
    let at = 0;
    while (bytes.length - at >= this.#hearing.headLength) {
      this.#length ??= this.#hearing.frameLength(bytes, at, this.#receiveSequence);
      const end = at + this.#length;
      if (end > bytes.length) break;
      const payload = this.#hearing.open(bytes, at, end, this.#receiveSequence);
      this.#receiveSequence = (this.#receiveSequence + 1) >>> 0;
      this.#length = undefined;
      at = end;
      this.#note(payload);
    }
    this.#bytes = bytes.slice(at);
  }

  #agreed(list: 'kex' | 'hostKey' | `${'cipher' | 'mac'}${'ClientToServer' | 'ServerToClient'}`): string {
    return agreedName(this.#ours![list], this.#theirs![list]);
  }

  #note(payload: Uint8Array): void {
    this.heard.push(payload);
    switch (payload[0]) {
      case KEXINIT.number:
        this.#theirInit = payload;
        this.#theirs = unpack(KEXINIT.layout, payload, 1);
        break;
      case KEX_ECDH_REPLY.number: {
        const { hostKey, reply } = unpack(KEX_ECDH_REPLY.layout, payload, 1);
        const { hash } = byName(provider.kex, this.#agreed('kex'))!;
        const { init } = this.#initiator!;
        const parts = [this.ident, this.theirIdent, this.#ourInit, this.#theirInit, hostKey, init, reply];
        const agreed = agree(hash, parts, this.#initiator!.finish(reply), this.sessionId);
        this.sessionId = agreed.sessionId;
        this.#next = ways(provider, 'client', name => this.#agreed(name), agreed.derive);
        break;
      }
      case NEWKEYS.number:
        this.#hearing = this.#next!.hearing;
        if (this.strict) this.#receiveSequence = 0;
        break;
    }
  }
}
