// A connection under attack, and the random application that owns it; both follow from a case, so that a failing one can be kept and replayed.

import { type Channel, type ChannelHandler, MAX_DATA, WINDOW } from '../../src/protocol/channels/channel.ts';
import type { ChannelOpen } from '../../src/protocol/channels/mux.ts';
import { Connection, type ConnectionEvents } from '../../src/protocol/connection.ts';
import { DisconnectError, ProtocolError, UsageError } from '../../src/protocol/errors.ts';
import { CHANNEL_DATA } from '../../src/protocol/messages.ts';
import type { AuthAnswer } from '../../src/protocol/userauth/questions.ts';
import { MAX_PACKET } from '../../src/protocol/wire/framing.ts';
import { readUint32 } from '../../src/protocol/wire/packet.ts';
import { encodeUtf8 } from '../../src/protocol/wire/reader.ts';
import { insecure, insecureKey, seeded } from '../kit/insecure.ts';
import type { Dice } from '../kit/network.ts';
import { Pair } from '../kit/pair.ts';

/** One attack: packets (payloads in hex; with "raw:" bytes that are no packet) at a victim whose application draws from `app`. */
export interface Case {
  role: 'server' | 'client';
  app: number;
  packets: string[];
}

/** Few, so that an attack reaches the limit. */
const MAX_CHANNELS = 4;

/** What the attacker calls itself. */
export const IDENT = 'SSH-2.0-fuzz';
export const hostKey = insecureKey(new Uint8Array([1]));
export const userKey = insecureKey(new Uint8Array([2]));
/** The victim's randomness: always the same, so that recorded conversations can be replayed. */
export const victimProvider = () => insecure(seeded(7).bytes);

/** Frames a payload as the cipher "none" does (RFC 4253 §6), padded with zeros. */
function frame(payload: Uint8Array): Uint8Array {
  const padding = 4 + ((8 - ((5 + payload.length + 4) % 8)) % 8);
  const bytes = new Uint8Array(5 + payload.length + padding);
  new DataView(bytes.buffer).setUint32(0, 1 + payload.length + padding);
  bytes[4] = padding;
  bytes.set(payload, 5);
  return bytes;
}

export class Victim {
  readonly connection: Connection;
  /** A bystander: circuits of the victim are forwarded to it, and nothing may happen to it. */
  readonly bystander: Pair;
  readonly #dice: Dice;
  readonly #channels: Channel[] = [];
  readonly #opens: ChannelOpen[] = [];
  readonly #later: (() => void)[] = [];
  #ends = 0;
  readonly faults: string[] = [];

  constructor({ role, app }: Pick<Case, 'role' | 'app'>, plain = false) {
    const dice = seeded(app);
    this.#dice = dice;
    const provider = victimProvider();
    this.bystander = new Pair({
      provider: insecure(seeded(9).bytes),
      hostKey,
      userKey,
      clientEvents: { channelOpen: open => void open.accept({}) },
    }).start();
    this.bystander.onbytes = (from, bytes) => {
      if (from === 'server') this.#judge(bytes);
      return bytes;
    };
    const later = (act: () => void) => {
      if (plain || dice.below(3) > 0) act();
      else this.#later.push(act);
      // An application may answer twice by mistake; the second word counts for nothing.
      if (!plain && dice.below(20) === 0) this.#later.push(act);
    };
    const events: ConnectionEvents = {
      output() {},
      auth: (question, answer) => {
        const given = plain ? { result: 'accept' as const } : this.#authAnswer(question.method);
        later(() => answer(given));
      },
      hostKey: (_question, answer) => later(() => answer(plain || dice.below(10) > 0)),
      channelOpen: open => void (plain || dice.below(3) > 0 ? this.#decide(open) : this.#opens.push(open)),
      globalRequest: () => {
        const reply = [true, false, new Uint8Array(4)][dice.below(3)];
        if (plain || dice.below(2) === 0) return reply;
        return new Promise(resolve => this.#later.push(() => resolve(reply)));
      },
      closed: () => void this.#ends++,
      fault: error => void this.faults.push(`a fault while closing: ${(error as Error).stack}`),
    };
    const methods = ['publickey', 'password', 'keyboard-interactive'];
    this.connection =
      role === 'server'
        ? new Connection(
            { role, provider, hostKeys: [hostKey], methods, banner: 'hello\n', maxChannels: MAX_CHANNELS },
            events,
          )
        : new Connection(
            {
              role,
              provider,
              user: 'alice',
              maxChannels: MAX_CHANNELS,
              credentials: [
                { method: 'publickey', key: userKey },
                { method: 'keyboard-interactive', answer: (_round, respond) => later(() => respond(['x'])) },
                { method: 'password', password: 'secret' },
              ],
            },
            events,
          );
    this.connection.start();
  }

  /** What reaches the bystander must be well-formed; OpenSSH would drop its connection for a DATA message that is not. */
  #judge(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += 4 + readUint32(bytes, at)) {
      const payload = readUint32(bytes, at) - bytes[at + 4] - 1;
      const right = bytes[at + 5] !== CHANNEL_DATA.number || readUint32(bytes, at + 10) === payload - 9;
      if (!right) this.faults.push('a malformed DATA message was passed on');
    }
  }

  #authAnswer(method: string): AuthAnswer {
    switch (this.#dice.below(8)) {
      case 0:
        return { result: 'reject' };
      case 1:
        return { result: 'partial', methods: ['password', 'keyboard-interactive'] };
      case 2:
        return { result: 'change-password', prompt: 'new' };
      case 3:
      case 4:
        if (method === 'keyboard-interactive') return { result: 'prompt', prompts: [{ text: 'Code: ', echo: true }] };
    }
    return { result: 'accept', banner: this.#dice.below(2) === 0 ? 'welcome' : undefined };
  }

  #handler(maxPacket = MAX_DATA): ChannelHandler {
    const { below } = this.#dice;
    let channel: Channel | undefined;
    const own = () => {
      channel ??= this.#channels.find(candidate => candidate.handler === handler);
      return channel;
    };
    const heard = { eof: false, closed: false };
    const must = (holds: boolean, what: string) => {
      if (!holds) this.faults.push(`the application heard ${what}`);
    };
    const handler: ChannelHandler = {
      data: bytes => {
        must(!heard.eof && !heard.closed && !own()?.closeSent, 'data after the end');
        must(bytes.length <= maxPacket, 'more in one message than it allows');
        if (below(2) === 0) own()?.consumed(bytes.length);
        if (below(30) === 0) own()?.close();
      },
      eof: () => {
        must(!heard.eof && !heard.closed && !own()?.closeSent, 'EOF twice, or after the end');
        heard.eof = true;
        if (below(2) === 0) own()?.eof();
      },
      request: () => {
        if (below(2) === 0) return below(2) === 0;
        return new Promise(resolve => this.#later.push(() => resolve(true)));
      },
      closed: () => {
        must(!heard.closed, 'twice that a channel is closed');
        heard.closed = true;
      },
    };
    return handler;
  }

  #decide(open: ChannelOpen): void {
    const { below } = this.#dice;
    if (open.gone) return open.reject(2, 'late'); // has no effect
    switch (below(4)) {
      case 0:
        open.reject(1, 'no');
        break;
      case 1:
        open.forward(this.bystander.server.mux, 'far', open.data);
        break;
      default: {
        const maxPacket = [1, 100, MAX_DATA, MAX_DATA][below(4)];
        this.#channels.push(open.accept(this.#handler(maxPacket), [0, 1, 100, 65536, WINDOW][below(5)], maxPacket));
      }
    }
    if (below(20) === 0) this.#opens.push(open);
  }

  /** The application does something of its own accord. */
  act(): void {
    const { below } = this.#dice;
    const { connection } = this;
    const channel = this.#channels[below(this.#channels.length)] as Channel | undefined;
    switch (below(14)) {
      case 0:
        this.#later.splice(below(this.#later.length), 1)[0]?.();
        break;
      case 1: {
        const [open] = this.#opens.splice(below(this.#opens.length), 1);
        if (open) this.#decide(open);
        break;
      }
      case 2:
        if (connection.stage !== 'connection') break;
        connection.mux.open(
          'session',
          new Uint8Array(3),
          this.#handler(),
          opened => this.#channels.push(opened),
          () => {},
        );
        break;
      case 3:
        if (connection.stage === 'connection') void connection.request('keepalive@openssh.com');
        break;
      case 4:
        connection.rekey();
        break;
      case 5:
        channel?.eof();
        break;
      case 6:
        channel?.close();
        break;
      case 7:
        if (channel) void channel.request('exec', new Uint8Array(4));
        break;
      case 8:
        connection.setSocketFull(below(2) === 0);
        break;
      case 9:
        // Now and then the bystander does not read.
        this.bystander.server.setSocketFull(true);
        break;
      case 10:
        // Ends of circuits come and go on the other side as well.
        for (const far of this.bystander.client.mux.channels) {
          const choice = below(6);
          if (choice < 3 && !far.eofSent) far.write(new Uint8Array(below(1000)));
          else if (choice === 3) far.eof();
          else if (choice === 4) far.close();
        }
        break;
      default:
        if (channel && !channel.eofSent) channel.write(new Uint8Array(below(2000)), below(2));
    }
  }

  /** Feeds one packet of a case. */
  feed(packet: string): void {
    const bytes = Uint8Array.from(Buffer.from(packet.replace(/^raw:/, ''), 'hex'));
    this.connection.receive(packet.startsWith('raw:') ? bytes : frame(bytes));
  }

  identify(): void {
    this.connection.receive(encodeUtf8(`${IDENT}\r\n`));
  }

  /** What must hold whatever the peer sends. @throws Error that says what does not */
  check(): void {
    const { connection, bystander } = this;
    const { error } = connection;
    if (this.faults.length > 0) throw new Error(this.faults[0]);
    if (error !== undefined && !(error instanceof ProtocolError || error instanceof DisconnectError)) {
      throw new Error(`a fault of this program: ${error.stack}`);
    }
    if (error !== undefined && /[\p{Cc}\p{Cf}]/u.test(error.message))
      throw new Error('peer text in an error as it came');
    if (this.#ends !== (error === undefined ? 0 : 1)) throw new Error(`ended ${this.#ends} times`);
    if (bystander.server.closed || bystander.client.closed) {
      throw new Error(`a bystander was hurt: ${(bystander.server.error ?? bystander.client.error)?.stack}`);
    }
    const { transport, mux } = connection;
    if (error === undefined && !connection.paused && transport.inputBytes > MAX_PACKET + 4) {
      throw new Error(`${transport.inputBytes} bytes wait to be read`);
    }
    if (Math.max(mux.count, mux.channels.length) > MAX_CHANNELS) throw new Error(`${mux.count} channels are too many`);
    for (const { inbound, outbound } of mux.channels) {
      if (inbound.size < 0 || outbound.size < 0 || outbound.size > 0xffffffff)
        throw new Error('a window out of bounds');
    }
    // What is sent is gone; one packet makes at most a few answers.
    let output = 0;
    for (const chunk of connection.takeOutput()) output += chunk.length;
    if (output > 1024 * 1024 + 64 * 1024) throw new Error(`${output} bytes of output at once`);
  }

  /** The application's turn between two packets, and what only an application could do wrong. */
  turn(): void {
    if (this.#dice.below(4) > 0) this.bystander.settle();
    if (this.#dice.below(2) === 0) return;
    try {
      this.act();
    } catch (error) {
      // Accepting twice is its own fault, and it is told so.
      if (!(error instanceof UsageError && /answered twice/.test(error.message))) throw error;
    }
  }
}
