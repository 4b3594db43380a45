// Steps of the list that sockets must be able to do by themselves, without SSH: what a runtime's own ways of writing and reading get wrong first.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256 } from '@noble/hashes/sha2.js';
import { equalBytes } from '../../src/protocol/wire/reader.ts';
import { connect, connectPath, listen, type Socket } from '../../src/server/runtime/net.ts';
import { listenPath } from '../../src/server/runtime/paths.ts';

const MIB = 1024 * 1024;
/** Bytes of one write: an odd number, so that nothing is ever aligned. */
const CHUNK = 100_003;

function check(right: boolean, what: string): void {
  if (!right) throw new Error(what);
}

/** One end: what comes is hashed, and what happens can be waited for. */
class End {
  readonly socket: Socket;
  readonly ended: Promise<void>;
  readonly closed: Promise<Error | undefined>;
  /** All that was written has been taken, for the first time. */
  readonly drained: Promise<void>;
  received = 0;
  drains = 0;
  closes = 0;
  readonly #hash = sha256.create();

  constructor(socket: Socket, { paused = false, each = () => {} }: { paused?: boolean; each?: () => void } = {}) {
    this.socket = socket;
    let end!: () => void;
    let close!: (error?: Error) => void;
    let drain!: () => void;
    this.drained = new Promise(resolve => (drain = resolve));
    this.ended = new Promise(resolve => (end = resolve));
    this.closed = new Promise(resolve => (close = resolve));
    socket.start({
      borrows: true,
      data: chunk => {
        this.received += chunk.length;
        this.#hash.update(chunk);
        each();
      },
      end,
      drain: () => {
        this.drains++;
        drain();
      },
      close: error => {
        this.closes++;
        close(error);
      },
    });
    if (paused) socket.pause();
  }

  /** Whether it has had these bytes and nothing else. */
  got(bytes: Uint8Array): boolean {
    return this.received === bytes.length && equalBytes(this.#hash.digest(), sha256(bytes));
  }

  /** Writes all of it, some chunks at a time as a flush does, without waiting for anybody; large ones are given away. */
  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += 3 * CHUNK) {
      const chunks = [0, CHUNK, 2 * CHUNK].map(from => bytes.slice(at + from, at + from + CHUNK));
      this.socket.write([Uint8Array.of(), ...chunks]);
    }
  }
}

/** Bytes that do not repeat, so that a piece in the wrong place is noticed. */
function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer, 0, length >> 2);
  for (let i = 0, word = 1; i < words.length; i++) words[i] = word = (Math.imul(word, 1_664_525) + 1_013_904_223) | 0;
  return bytes;
}

const input = noise(24 * MIB);

/** Two sockets that are connected, the accepted one first; `close` when both are gone. */
async function pair(path?: string): Promise<{ sockets: [Socket, Socket]; close(): Promise<void> }> {
  let accept!: (socket: Socket) => void;
  const accepted = new Promise<Socket>(resolve => (accept = resolve));
  if (path === undefined) {
    const listener = await listen('127.0.0.1', 0, accept);
    const near = await connect('127.0.0.1', listener.port);
    return { sockets: [await accepted, near], close: () => listener.close() };
  }
  const listener = await listenPath(path, accept);
  const near = await connectPath(path);
  return { sockets: [await accepted, near], close: () => listener.close() };
}

/** Both directions, each closed by itself while the other goes on. */
async function bothWays(path?: string): Promise<void> {
  const { sockets, close } = await pair(path);
  await exchange(sockets, 24 * MIB, 10 * MIB + 1);
  await close();
}

/** So many bytes each way between two sockets, with checksums, until both are closed. */
export async function exchange(sockets: readonly [Socket, Socket], there: number, back: number): Promise<void> {
  const [a, b] = sockets.map(socket => new End(socket));
  const question = input.subarray(0, there);
  a.write(question);
  a.socket.end();
  await b.ended;
  check(b.got(question), `other bytes: ${b.received}`);
  check(a.socket.pending === 0, `${a.socket.pending} bytes pending after the end`);
  const answer = input.subarray(input.length - back);
  b.write(answer);
  b.socket.end();
  await a.ended;
  check(a.got(answer), `other bytes back: ${a.received}`);
  check((await a.closed) === undefined && (await b.closed) === undefined, 'closed with an error');
  check(a.closes === 1 && b.closes === 1, 'closed more than once');
}

const turn = () => new Promise(resolve => setTimeout(resolve, 1));

export const socketSteps: Record<string, () => Promise<void>> = {
  'half-close': () => bothWays(),

  async 'Unix socket'() {
    const directory = mkdtempSync(join(tmpdir(), 'cordboard-'));
    try {
      await bothWays(join(directory, 'socket'));
    } finally {
      rmSync(directory, { recursive: true });
    }
  },

  async 'slow reader'() {
    const { sockets, close } = await pair();
    const writer = new End(sockets[0]);
    // A pause after whatever comes: the way is full most of the time, and every write is taken in part.
    const reader: End = new End(sockets[1], {
      paused: true,
      each() {
        reader.socket.pause();
        setTimeout(() => reader.socket.resume(), 1);
      },
    });
    writer.write(input);
    const { pending } = writer.socket;
    check(pending > input.length / 4 && pending <= input.length, `${pending} bytes pending`);
    const progress = await writer.socket.progress?.();
    if (progress) check(progress.taken + progress.waiting === input.length, `progress: ${JSON.stringify(progress)}`);
    reader.socket.resume();
    for (let last = pending; last > 0; ) {
      await turn();
      check(writer.socket.pending <= last, 'more is pending than before');
      last = writer.socket.pending;
      if (last > 0) check(writer.drains === 0, `drained with ${last} bytes pending`);
    }
    await writer.drained;
    writer.socket.end();
    await reader.ended;
    check(reader.got(input), `other bytes: ${reader.received}`);
    reader.socket.end();
    await writer.closed;
    await close();
  },

  async reset() {
    const { sockets, close } = await pair();
    const writer = new End(sockets[0]);
    const reader = new End(sockets[1], { paused: true });
    writer.write(input);
    check(writer.socket.pending > 0, 'nothing is pending');
    // With bytes that nobody has read this is a reset for the peer.
    reader.socket.destroy();
    const error = await writer.closed;
    check(error !== undefined, 'no error');
    writer.write(input.subarray(0, CHUNK));
    check((await reader.closed) === undefined, 'an error for the one who closed');
    check(writer.closes === 1 && reader.closes === 1, 'closed more than once');
    await close();
  },

  async 'destroy while bytes wait'() {
    const { sockets, close } = await pair();
    const writer = new End(sockets[0]);
    const reader = new End(sockets[1], { paused: true });
    writer.write(input);
    writer.socket.destroy();
    check((await writer.closed) === undefined, 'an error for the one who closed');
    reader.socket.resume();
    await Promise.race([reader.ended, reader.closed]);
    reader.socket.end();
    await reader.closed;
    check(reader.received < input.length, 'all bytes came');
    await close();
  },
};
