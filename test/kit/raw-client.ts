// A client on a real socket that says any packet whenever it likes, and a look at what a server says in the clear.
import type { Socket } from 'node:net';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { DisconnectError } from '../../src/protocol/errors.ts';
import { DISCONNECT, SERVICE_REQUEST, USERAUTH_REQUEST } from '../../src/protocol/messages.ts';
import { Transport } from '../../src/protocol/transport/transport.ts';
import { decode, encode } from '../../src/protocol/wire/codec.ts';
import { Packet } from '../../src/protocol/wire/packet.ts';
import { readAll, tcpConnect } from './loopback.ts';
import { type Scope, soon } from './processes.ts';

/** How a server ended a connection: the reason of its DISCONNECT, or just the text that it sent to one that is no SSH client. */
export interface Goodbye {
  readonly reason: number | undefined;
  readonly text: string;
}

/** Sends `bytes` as they are, and reads what the server says in the clear until it closes. */
export async function blurt(
  scope: Scope,
  port: number,
  bytes: Uint8Array | string,
  localAddress?: string,
): Promise<Goodbye> {
  const socket = await tcpConnect(scope, port, localAddress);
  socket.write(bytes);
  const said = await soon('the server to close', readAll(socket));
  socket.destroy();
  return goodbye(said);
}

/** The packet in the clear (RFC 4253 §6) that is a DISCONNECT, or else the text after the packets. */
export function goodbye(said: Buffer): Goodbye {
  let at = said.indexOf('\r\n') + 2;
  while (at + 5 < said.length) {
    const end = at + 4 + said.readUInt32BE(at);
    if (end > said.length) break;
    const packet = new Packet(said, at + 5, end - said[at + 4]);
    if (packet.number === DISCONNECT.number) {
      const { reason, description } = decode(DISCONNECT, packet);
      return { reason, text: description };
    }
    at = end;
  }
  return { reason: undefined, text: said.subarray(at).toString('latin1') };
}

/** A client after the first key exchange. */
export class RawClient {
  readonly socket: Socket;
  readonly transport: Transport;
  /** How many packets have been heard, by number. */
  readonly heard = new Map<number, number>();
  /** What the server said when it hung up. */
  readonly ended: Promise<Goodbye>;
  /** Changes what is about to be sent. */
  tamper: ((bytes: Buffer) => Buffer) | undefined;
  #exchanged!: () => void;
  readonly #keyed = new Promise<void>(resolve => (this.#exchanged = resolve));
  #woken: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    this.transport = new Transport(
      { role: 'client', provider: accelerated },
      { output: () => {}, hostKey: () => this.transport.answerHostKey(true), exchanging: () => {} },
    );
    this.ended = new Promise(resolve => {
      socket.on('data', (chunk: Buffer) => {
        try {
          this.transport.receive(new Uint8Array(chunk));
          this.#read();
        } catch (error) {
          if (!(error instanceof DisconnectError)) throw error;
          resolve({ reason: error.reason, text: error.message });
        }
        this.flush();
      });
      socket.on('close', () => resolve({ reason: undefined, text: 'closed' }));
      socket.on('end', () => resolve({ reason: undefined, text: 'ended' }));
    });
  }

  /** From `localAddress`, if that is given. */
  static async connect(scope: Scope, port: number, localAddress?: string): Promise<RawClient> {
    const client = new RawClient(await tcpConnect(scope, port, localAddress));
    client.transport.start();
    client.flush();
    const refused = client.ended.then(({ text }) => {
      throw new Error(`hung up on before the key exchange: ${text}`);
    });
    await soon('the key exchange', Promise.race([client.#keyed, refused]));
    return client;
  }

  /** Signs in with `none`. */
  async signIn(user = 'mallory'): Promise<this> {
    this.send(encode(SERVICE_REQUEST, { service: 'ssh-userauth' }));
    this.send(encode(USERAUTH_REQUEST, { user, service: 'ssh-connection', method: 'none', data: new Uint8Array(0) }));
    await this.hears(52);
    return this;
  }

  send(packet: Packet): void {
    this.transport.send(packet);
    this.flush();
  }

  /** When a packet with this number, or one of these numbers, has come, or `times` of them. */
  async hears(number: number | readonly number[], times = 1): Promise<void> {
    const count = () => [number].flat().reduce((sum, one) => sum + (this.heard.get(one) ?? 0), 0);
    while (count() < times) {
      await Promise.race([
        new Promise<void>(resolve => (this.#woken = resolve)),
        this.ended.then(({ text }) => {
          throw new Error(`hung up on before ${times} × message ${number}: ${text}`);
        }),
      ]);
    }
  }

  flush(): void {
    const bytes = Buffer.concat(this.transport.takeOutput());
    if (bytes.length > 0) this.socket.write(this.tamper?.(bytes) ?? bytes);
  }

  #read(): void {
    for (let packet = this.transport.next(); packet !== undefined; packet = this.transport.next()) {
      this.heard.set(packet.number, (this.heard.get(packet.number) ?? 0) + 1);
    }
    if (this.transport.exchanges > 0 && !this.transport.exchanging) this.#exchanged();
    this.#woken();
  }
}
