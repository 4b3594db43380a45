// One of our cores in a conversation with OpenSSH: what it is fed, sends and says becomes the lines of a recording. No I/O, no clock, no promise.
import { type Channel, type ChannelHandler, STDERR } from '../../src/protocol/channels/channel.ts';
import {
  DIRECT_TCPIP,
  FORWARDED_TCPIP,
  TCPIP_FORWARD,
  type TcpipForward,
} from '../../src/protocol/channels/forwarding.ts';
import type { ChannelOpen, GlobalReply, GlobalRequest } from '../../src/protocol/channels/mux.ts';
import { EXEC, EXIT_STATUS } from '../../src/protocol/channels/session-requests.ts';
import { Connection, type ConnectionEvents } from '../../src/protocol/connection.ts';
import { Disconnect, OpenFailure } from '../../src/protocol/errors.ts';
import type { AuthAnswer, AuthQuestion } from '../../src/protocol/userauth/questions.ts';
import { pack, unpack } from '../../src/protocol/wire/codec.ts';
import { concat, decodeUtf8, encodeUtf8 } from '../../src/protocol/wire/reader.ts';
import { seeded } from '../kit/insecure.ts';
import { type Head, type Line, providerOf, toBase64 } from './recording.ts';
import { ourKey, type Scenario } from './scenarios.ts';

/** Where callers say they come from. */
const ORIGIN_PORT = 40_000;

export class Conversation {
  readonly lines: Line[] = [];
  readonly #scenario: Scenario;
  readonly #head: Head;
  readonly #connection: Connection;
  /** Server: what the client has asked us to listen on. */
  #listener: TcpipForward | undefined;

  constructor(scenario: Scenario, head: Head) {
    this.#scenario = scenario;
    this.#head = head;
    const { role, refuse, rekeyBytes } = scenario;
    const key = ourKey(scenario.key);
    const common = { provider: providerOf(head, seeded(scenario.seed).bytes), ident: head.ident, rekeyBytes };
    const events: ConnectionEvents = {
      output() {},
      auth: (question, answer) => {
        this.#say(`auth ${question.user} ${describe(question)}`);
        answer(verdict(question, refuse === true));
      },
      hostKey: ({ hostKey, algorithm }, answer) => {
        this.#say(`host key ${algorithm} ${toBase64(hostKey)}`);
        answer(true);
      },
      ready: () => {
        this.#say(`ready ${this.#algorithms()}`);
        if (role === 'client') this.#ask();
      },
      channelOpen: open => this.#serve(open),
      globalRequest: request => this.#globalRequest(request),
      closed: error => {
        this.#say(`over after ${this.#connection.transport.exchanges} key exchanges: ${error.name}: ${error.message}`);
      },
      fault: error => this.#say(`fault ${error}`),
    };
    this.#connection =
      role === 'server'
        ? new Connection({ ...common, role, hostKeys: [key], methods: ['publickey'], banner: 'Welcome\n' }, events)
        : new Connection({ ...common, role, user: head.user, credentials: [{ method: 'publickey', key }] }, events);
  }

  get over(): boolean {
    return this.#connection.closed;
  }

  /** What it sends first. */
  start(): Uint8Array {
    this.#connection.start();
    return this.#sent();
  }

  /** What it sends in reply to `chunk`. */
  receive(chunk: Uint8Array): Uint8Array {
    this.lines.push(`< ${toBase64(chunk)}`);
    this.#connection.receive(chunk.slice());
    return this.#sent();
  }

  /** The peer sends no more. */
  end(): Uint8Array {
    this.lines.push('.');
    this.#connection.receiveEnd();
    return this.#sent();
  }

  #sent(): Uint8Array {
    const parts: Uint8Array[] = [];
    // As a driver does after each write: being told of room may bring up more.
    for (let more = this.#connection.takeOutput(); more.length > 0; more = this.#connection.takeOutput()) {
      parts.push(...more);
      this.#connection.setSocketFull(false);
    }
    const bytes = concat(...parts);
    if (bytes.length > 0) this.lines.push(`> ${toBase64(bytes)}`);
    return bytes;
  }

  #say(text: string): void {
    this.lines.push(`! ${text}`);
  }

  #algorithms(): string {
    const { kex, hostKey, clientToServer, serverToClient } = this.#connection.transport.negotiated!;
    const ways = [clientToServer, serverToClient].map(({ cipher, mac }) => (mac ? `${cipher} ${mac}` : cipher));
    return [kex, hostKey, ...ways].join(' ');
  }

  /** A handler that notes what happens on a channel and passes it on to the one that `serve` gives once there is a channel. */
  #noted(
    name: string,
    serve: (channel: Channel) => ChannelHandler,
  ): { handler: ChannelHandler; bind(to: Channel): void } {
    let served: ChannelHandler = {};
    let channel!: Channel;
    return {
      bind: to => {
        channel = to;
        served = serve(to);
      },
      handler: {
        data: (bytes, type) => {
          this.#say(`${name} data ${type} ${JSON.stringify(decodeUtf8(bytes))}`);
          served.data?.(bytes, type);
          channel.consumed(bytes.length);
        },
        eof: () => {
          this.#say(`${name} eof`);
          served.eof?.();
        },
        request: request => {
          this.#say(`${name} request ${request.type} ${request.wantReply} ${toBase64(request.data)}`);
          return served.request?.(request) ?? false;
        },
        writable: () => served.writable?.(),
        closed: () => {
          this.#say(`${name} closed`);
          served.closed?.();
        },
      },
    };
  }

  #open(type: string, data: Uint8Array, serve: (channel: Channel) => ChannelHandler): void {
    const { handler, bind } = this.#noted(type, serve);
    const failed = (error: Error) => this.#say(`${type} failed: ${error.message}`);
    this.#connection.mux.open(type, data, handler, bind, failed);
  }

  #accept(open: ChannelOpen, serve: (channel: Channel) => ChannelHandler): void {
    const { handler, bind } = this.#noted(open.type, serve);
    bind(open.accept(handler));
  }

  #serve(open: ChannelOpen): void {
    this.#say(`open ${open.type} ${toBase64(open.data)}`);
    const { role } = this.#scenario;
    if (role === 'server' && open.type === 'session') this.#accept(open, channel => this.#session(channel));
    else if (role === 'server' && open.type === 'direct-tcpip') this.#accept(open, channel => echo(channel));
    else if (role === 'client' && open.type === 'forwarded-tcpip') {
      this.#accept(open, channel => ({ ...echo(channel), closed: () => this.#goodbye() }));
    } else open.reject(OpenFailure.UNKNOWN_CHANNEL_TYPE, 'not served');
  }

  #globalRequest({ type, wantReply, data }: GlobalRequest): GlobalReply {
    this.#say(`global request ${type} ${wantReply} ${toBase64(data)}`);
    if (this.#scenario.role === 'client' || type !== 'tcpip-forward') return false;
    this.#listener = unpack(TCPIP_FORWARD, data);
    return true;
  }

  /** Commands: `echo TEXT`, `fail N`, `cat`, and `call`, which calls the listener that the client has asked for. */
  #session(channel: Channel): ChannelHandler {
    const exit = (status: number) => {
      channel.eof();
      channel.notify('exit-status', pack(EXIT_STATUS, { status }));
      channel.close();
    };
    let running: ChannelHandler = {};
    return {
      request: ({ type, data }) => {
        if (type !== 'exec') return false;
        const [, word, rest] = /^(\S+) ?(.*)$/.exec(decodeUtf8(unpack(EXEC, data).command)) ?? [];
        if (word === 'echo') channel.write(encodeUtf8(`${rest}\n`));
        else if (word === 'fail') channel.write(encodeUtf8('as you wish\n'), STDERR);
        else if (word === 'cat') running = echo(channel, () => exit(0));
        else if (word === 'call') this.#call(() => exit(0));
        else return false;
        if (word === 'echo' || word === 'fail') exit(word === 'echo' ? 0 : Number(rest));
        return true;
      },
      data: bytes => running.data?.(bytes, 0),
      eof: () => running.eof?.(),
      writable: () => running.writable?.(),
    };
  }

  #call(done: () => void): void {
    const data = pack(FORWARDED_TCPIP, { ...this.#listener!, originHost: '127.0.0.1', originPort: ORIGIN_PORT });
    this.#open('forwarded-tcpip', data, channel => ({ ...sender(channel, encodeUtf8('a caller')), closed: done }));
  }

  // The client's application

  #ask(): void {
    const { task, input = '' } = this.#scenario;
    const bytes = encodeUtf8(input);
    const origin = { originHost: '127.0.0.1', originPort: ORIGIN_PORT };
    const closed = () => this.#goodbye();
    if (task.do === 'exec') {
      this.#open('session', new Uint8Array(0), channel => {
        channel.notify('exec', pack(EXEC, { command: encodeUtf8(task.command) }));
        return { ...sender(channel, bytes), closed };
      });
    } else if (task.do === 'forward') {
      this.#open('direct-tcpip', pack(DIRECT_TCPIP, { ...this.#target(), ...origin }), channel => ({
        ...sender(channel, bytes),
        closed,
      }));
    } else if (task.do === 'listen') {
      void this.#connection.mux.request('tcpip-forward', pack(TCPIP_FORWARD, this.#target()));
    }
  }

  #target(): { host: string; port: number } {
    const [host, port] = this.#head.target.split(' ');
    return { host, port: Number(port) };
  }

  #goodbye(): void {
    this.#connection.disconnect(Disconnect.BY_APPLICATION, 'done');
  }
}

/** Sends `bytes` as the peer has room for them, then EOF; to close is the peer's turn. */
function sender(channel: Channel, bytes: Uint8Array): ChannelHandler {
  const writable = () => {
    if (channel.eofSent) return;
    bytes = bytes.subarray(channel.write(bytes));
    if (bytes.length === 0) channel.eof();
  };
  writable();
  return { writable };
}

/** Sends back what comes, and then says that it is done. */
function echo(channel: Channel, done = () => channel.close()): ChannelHandler {
  let waiting: Uint8Array = new Uint8Array(0);
  let ended = false;
  const writable = () => {
    if (channel.eofSent) return;
    waiting = waiting.slice(channel.write(waiting));
    if (ended && waiting.length === 0) {
      channel.eof();
      done();
    }
  };
  return {
    data: bytes => {
      waiting = concat(waiting, bytes);
      writable();
    },
    eof: () => {
      ended = true;
      writable();
    },
    writable,
  };
}

function describe(question: AuthQuestion): string {
  return 'key' in question
    ? `${question.method} ${question.algorithm} ${toBase64(question.key)}`
    : `${question.method}`;
}

function verdict(question: AuthQuestion, refuse: boolean): AuthAnswer {
  return { result: 'key' in question && !refuse ? 'accept' : 'reject' };
}
