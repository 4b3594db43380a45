// A program with three pipes: started by the C library, which takes any bytes; without it by the runtime, which takes text only.
import { type ChildProcess, spawn as spawnChild } from 'node:child_process';
import { closeSync, write } from 'node:fs';
import { Socket } from 'node:net';
import { Readable, Writable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { UsageError } from '../../protocol/errors.ts';
import { utf8OrNot } from '../../protocol/wire/reader.ts';
import { type Libc, libc, O_CLOEXEC } from './libc.ts';
import { ENTRY } from './limits.ts';
import { type Command, type Exit, type Program, signalGroup } from './program.ts';
import { check, reaped, spawn } from './spawn.ts';

/** A program that has been started, as this file needs it. */
interface Started {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** When its process has ended. */
  readonly exited: Promise<Exit>;
}

/**
 * Starts a program with three pipes.
 * @param library the C library; without it the runtime starts the program
 * @throws the system's error if it cannot be started; UsageError if only the C library could, and it is not there
 */
export async function startWithPipes(command: Command, library: () => Promise<Libc> = libc): Promise<Program> {
  const c = await library().catch(() => undefined);
  const { pid, stdin, stdout, stderr, exited } = c ? await byLibrary(c, command) : await byRuntime(command);
  // A program that reads no more is no fault.
  stdin.on('error', () => {});
  // A number that is free again may be somebody else's.
  let over = false;
  const gone = exited.then(exit => {
    over = true;
    stdin.destroy();
    return exit;
  });
  const ended = Promise.all([gone, closed(stdout), closed(stderr)]).then(([exit]) => exit);
  // Both are waited for later.
  ended.catch(() => {});
  const outputs = [stdout, stderr];
  return {
    pid,
    stdout: bytesOf(stdout),
    stderr: bytesOf(stderr),
    terminal: undefined,
    ended,
    write: bytes => new Promise(resolve => stdin.write(bytes, () => resolve())),
    end: () => void stdin.end(),
    signal: name => over || signalGroup(pid, name),
    signalAll: name => over || signalGroup(pid, name),
    abandon() {
      for (const stream of [stdin, ...outputs]) stream.destroy();
    },
  };
}

const closed = (stream: Readable): Promise<void> => new Promise(resolve => stream.once('close', resolve));

/**
 * Pipes as pipe(2) makes them: who writes to one that nobody reads gets SIGPIPE. The runtime's are pairs of sockets, where it may be
 * ECONNRESET instead, and `yes` ends with status 1.
 */
async function byLibrary(c: Libc, command: Command): Promise<Started> {
  const fds: number[] = [];
  try {
    for (let i = 0; i < 3; i++) {
      const pair = new Int32Array(2);
      check(c, 'pipe2', c.pipe2(new Uint8Array(pair.buffer), O_CLOEXEC));
      fds.push(...pair);
    }
    const [theirStdin, ourStdin, ourStdout, theirStdout, ourStderr, theirStderr] = fds;
    const theirs = [theirStdin, theirStdout, theirStderr];
    const pid = spawn(c, command, actions => {
      theirs.forEach((fd, at) => void c.posix_spawn_file_actions_adddup2(actions, fd, at));
    });
    for (const fd of theirs) closeSync(fd);
    fds.length = 0;
    return {
      pid,
      stdin: writer(ourStdin),
      stdout: reader(ourStdout),
      stderr: reader(ourStderr),
      exited: reaped(c, pid),
    };
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

/** On Bun sockets have no descriptors of others, and reads that block would use up its threads, of which there are as many as cores. */
function reader(fd: number): Readable {
  if (process.versions.bun === undefined) return new Socket({ fd, readable: true, writable: false });
  const stream = Readable.fromWeb((globalThis as unknown as { Bun: BunFiles }).Bun.file(fd).stream());
  // Bun leaves a descriptor open that it was given.
  return stream.once('close', () => closeSync(fd));
}

/** What is needed of Bun. */
interface BunFiles {
  file(fd: number): { stream(): ReadableStream };
}

const writer = (fd: number): Writable =>
  process.versions.bun === undefined ? new Socket({ fd, readable: false, writable: true }) : blockingWriter(fd);

/** Bun's createWriteStream does not close a descriptor to which nothing was written. */
function blockingWriter(fd: number): Writable {
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      const from = (at: number) => {
        if (at === chunk.length || stream.destroyed) return done();
        write(fd, chunk, at, chunk.length - at, null, (error, written) => (error ? done(error) : from(at + written)));
      };
      from(0);
    },
    destroy(error, done) {
      closeSync(fd);
      done(error);
    },
  });
  return stream;
}

async function byRuntime({ file, argv, env }: Command): Promise<Started> {
  const [argv0, ...args] = argv.map(given => text(given, 'the command'));
  const variables = Object.entries(env).map(([name, value]) => [name, text(value, `the variable ${name}`)]);
  const child: ChildProcess & { stdin: Writable; stdout: Readable; stderr: Readable } = spawnChild(file, args, {
    ...{ argv0, env: Object.fromEntries(variables), detached: true },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const exited = new Promise<Exit>(resolve =>
    child.on('exit', (code, signal) => resolve(signal ? { signal: signal.slice(3) } : { status: code ?? 1 })),
  );
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', () => resolve());
  });
  child.on('error', () => {});
  return { pid: child.pid!, stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, exited };
}

/** @throws UsageError if it is no text */
function text(given: string | Uint8Array, what: string): string {
  const found = typeof given === 'string' ? given : utf8OrNot(given);
  if (found === undefined) throw new UsageError(`${what} is not UTF-8, which needs the optional package koffi`);
  return found;
}

/** Plain bytes, as far as they come, in pieces that make an entry each, for Bun reads a MiB at once: a stream that is destroyed has ended. */
async function* bytesOf(stream: Readable): AsyncGenerator<Uint8Array> {
  try {
    for await (const { buffer, byteOffset, length } of stream as AsyncIterable<Buffer>)
      for (let at = 0; at < length; at += ENTRY)
        yield new Uint8Array(buffer, byteOffset + at, Math.min(ENTRY, length - at));
  } catch (error) {
    if (!stream.destroyed) throw error;
  }
}
