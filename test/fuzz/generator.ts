// Random messages that know their layout: mostly well-formed, filled with values that matter, and then damaged in small ways.
import {
  CHANNEL_CLOSE,
  CHANNEL_DATA,
  CHANNEL_EOF,
  CHANNEL_EXTENDED_DATA,
  CHANNEL_OPEN,
  CHANNEL_REQUEST,
  CHANNEL_WINDOW_ADJUST,
  GLOBAL_REQUEST,
  IGNORE,
  MESSAGES,
} from '../../src/protocol/messages.ts';
import type { FieldType, Message } from '../../src/protocol/wire/codec.ts';
import { writeUint32 } from '../../src/protocol/wire/packet.ts';
import { encodeUtf8, Writer } from '../../src/protocol/wire/reader.ts';
import type { Dice } from '../kit/network.ts';

/** Words that some branch of the protocol knows. */
const WORDS = [
  'ssh-userauth,ssh-connection,none,publickey,password,keyboard-interactive,hostbased,alice,root',
  'session,direct-tcpip,forwarded-tcpip,direct-streamlocal@openssh.com,x11,pty-req,env,shell,exec,subsystem,signal',
  'exit-status,exit-signal,window-change,break,eow@openssh.com,tcpip-forward,cancel-tcpip-forward',
  'keepalive@openssh.com,hostkeys-00@openssh.com,hostkeys-prove-00@openssh.com,no-more-sessions@openssh.com',
  'server-sig-algs,ext-info-c,ext-info-s,kex-strict-c-v00@openssh.com,kex-strict-s-v00@openssh.com,ping@openssh.com',
  'insecure-kex,insecure-signature,zlib@openssh.com,zlib,localhost,127.0.0.1,*',
]
  .join(',')
  .split(',');
const NUMBERS = [0, 1, 2, 3, 4, 7, 32768, 32769, 65535, 0x200000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

const CONNECTION = MESSAGES.filter(({ number }) => number >= 80);
const HARMLESS = [
  GLOBAL_REQUEST,
  CHANNEL_OPEN,
  CHANNEL_WINDOW_ADJUST,
  CHANNEL_DATA,
  CHANNEL_DATA,
  CHANNEL_EXTENDED_DATA,
  CHANNEL_REQUEST,
  CHANNEL_REQUEST,
  CHANNEL_EOF,
  CHANNEL_CLOSE,
  IGNORE,
];

export class Generator {
  readonly #dice: Dice;
  /** Channel numbers that the victim knows just now. */
  ids: readonly number[] = [];

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#dice.below(list.length)];
  }

  #bytes(): Uint8Array {
    const { below, bytes } = this.#dice;
    switch (below(12)) {
      case 0:
        return new Uint8Array(0);
      case 1:
        return new Uint8Array(this.#pick([100, 1000, 32768, 32769, 100_000]));
      case 2:
        // What is nested in other messages: a blob of names and strings.
        return new Writer()
          .string(this.#pick(WORDS))
          .string(bytes(new Uint8Array(below(80))))
          .finish();
      default:
        return bytes(new Uint8Array(below(below(2) === 0 ? 4 : 64)));
    }
  }

  #word(): Uint8Array {
    switch (this.#dice.below(20)) {
      case 0:
        return this.#bytes();
      case 1:
        return encodeUtf8('ü\u202e\u0007\u001b[2J');
      default:
        return encodeUtf8(this.#pick(WORDS));
    }
  }

  #field(writer: Writer, type: FieldType, name: string): void {
    const { below, bytes, next } = this.#dice;
    switch (type) {
      case 'byte':
        writer.byte(below(256));
        break;
      case 'boolean':
        writer.byte(this.#pick([0, 1, 1, 255]));
        break;
      case 'uint32':
        if (name === 'recipient' && this.ids.length > 0 && below(10) > 0) writer.uint32(this.#pick(this.ids));
        else writer.uint32(below(4) === 0 ? Math.floor(next() * 2 ** 32) : this.#pick(NUMBERS));
        break;
      case 'cookie':
        writer.raw(bytes(new Uint8Array(16)));
        break;
      case 'string':
        writer.string(this.#bytes());
        break;
      case 'text':
      case 'name':
        writer.string(this.#word());
        break;
      case 'nameList':
        writer.string(Array.from({ length: below(5) }, () => this.#pick(WORDS)).join(below(20) === 0 ? ',,' : ','));
        break;
      case 'rest':
        for (let n = below(5); n > 0; n--) {
          this.#field(writer, this.#pick(['boolean', 'uint32', 'string', 'name'] as const), '');
        }
        break;
    }
  }

  /** A payload of this message, well-formed as far as its layout goes. */
  message({ number, layout }: Message): Uint8Array {
    const writer = new Writer(64).byte(number);
    for (const name in layout) this.#field(writer, layout[name], name);
    return writer.finish().slice();
  }

  /** Any message, those of the connection protocol preferred once there is one. */
  any(signedIn: boolean): Uint8Array {
    const { below } = this.#dice;
    if (below(30) === 0) return Uint8Array.of(below(256), ...this.#bytes().subarray(0, 100));
    if (!signedIn || below(20) === 0) return this.message(this.#pick(MESSAGES));
    // Answers to what was not asked end the connection at once, so they are rare; so is what needs a channel without one.
    if (this.ids.length === 0 && below(4) > 0) return this.message(below(4) > 0 ? CHANNEL_OPEN : GLOBAL_REQUEST);
    return this.message(this.#pick(below(8) === 0 ? CONNECTION : HARMLESS));
  }

  /** Small damage: cut, grown, bytes changed, a length that is too large. */
  damage(payload: Uint8Array): Uint8Array {
    const { below, bytes } = this.#dice;
    const damaged = payload.slice();
    switch (below(7)) {
      case 0:
        return damaged.subarray(0, below(damaged.length + 1));
      case 1:
        return new Writer()
          .raw(damaged)
          .raw(bytes(new Uint8Array(1 + below(8))))
          .finish();
      case 2:
        if (damaged.length >= 5) writeUint32(damaged, 1 + below(damaged.length - 4), this.#pick(NUMBERS));
        return damaged;
      case 3:
        // The length of a DATA message.
        if (damaged.length >= 9) damaged[8] += 1 + below(3);
        return damaged;
      case 4:
        if (damaged.length > 0) damaged[0] = this.#pick(MESSAGES).number;
        return damaged;
      default:
        for (let n = 1 + below(3); n > 0 && damaged.length > 0; n--) damaged[below(damaged.length)] ^= 1 << below(8);
        return damaged;
    }
  }
}
