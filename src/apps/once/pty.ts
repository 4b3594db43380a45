// A program in a pseudo-terminal of its own (pty(7)): leader of a session, with argv[0] and terminal modes as one likes. Linux.
import { closeSync, constants as fsConstants, openSync } from 'node:fs';
import type { Size } from './entry.ts';
import { type Libc, libc, O_CLOEXEC } from './libc.ts';
import { ENTRY } from './limits.ts';
import { type Master, masterOf } from './master.ts';
import { type Command, type Exit, type Program, signalGroup } from './program.ts';
import { check, reaped, spawn } from './spawn.ts';
import { applyModes, readEcho, TERMIOS_BYTES } from './termios.ts';

/** Bytes that wait for their reader before nothing more is read from the terminal; the program then waits, too. */
const AHEAD = 256 * 1024;
/**
 * The terminal gives at most 4 KiB at a time. A chunk of that size has more behind it, which is waited for so long, in
 * milliseconds: each chunk is an entry of the transcript with a seal, and a packet.
 */
const FLOOD = 4000;
const GATHER = 2;

const HIDES = { echo: false, canonical: true };

// Linux, glibc and musl alike.
const { O_RDWR, O_NOCTTY } = fsConstants;
const TIOCSWINSZ = 0x5414;
const TCSANOW = 0;
const TCOON = 1;

/**
 * Starts a program in a new terminal.
 * @param modes encoded terminal modes of the `pty-req`
 * @throws UsageError where there are no terminals; ProtocolError if the modes are cut short; the system's error
 */
export async function startInTerminal(
  command: Command,
  size: Size,
  modes: Uint8Array,
): Promise<Program & { readonly path: string }> {
  const c = await libc();
  const { master, path } = openMaster(c);
  // As long as we have the other end open, too, the system does not report a hang-up, upon which the runtime would stop
  // reading although there is more to read.
  let slave = -1;
  let pid: number;
  try {
    slave = openSync(path, O_RDWR | O_NOCTTY);
    const termios = new Uint8Array(TERMIOS_BYTES);
    check(c, 'tcgetattr', c.tcgetattr(slave, termios));
    applyModes(termios, modes);
    check(c, 'tcsetattr', c.tcsetattr(slave, TCSANOW, termios));
    resize(c, master, size);
    // Opened as standard input by the leader of a session, it becomes the session's terminal, which is what Ctrl-C and job control need.
    pid = spawn(c, { ...command, env: { ...command.env, SSH_TTY: path } }, actions => {
      c.posix_spawn_file_actions_addopen(actions, 0, path, O_RDWR, 0);
      c.posix_spawn_file_actions_adddup2(actions, 0, 1);
      c.posix_spawn_file_actions_adddup2(actions, 0, 2);
    });
  } catch (error) {
    if (slave >= 0) closeSync(slave);
    closeSync(master);
    throw error;
  }
  return new Terminal(c, pid, master, slave, path);
}

class Terminal implements Program {
  readonly pid: number;
  readonly path: string;
  readonly stdout: AsyncIterable<Uint8Array>;
  readonly stderr: AsyncIterable<Uint8Array> = nothing();
  readonly ended: Promise<Exit>;
  readonly terminal: NonNullable<Program['terminal']>;
  readonly #c: Libc;
  readonly #fd: number;
  readonly #master: Master;
  readonly #chunks: Uint8Array[] = [];
  #waiting = 0;
  #foreground = -1;
  /** The program has ended. */
  #ended = false;
  /** Our end is closed. */
  #over = false;
  #wake = () => {};

  constructor(c: Libc, pid: number, master: number, slave: number, path: string) {
    this.#c = c;
    this.pid = pid;
    this.path = path;
    this.#fd = master;
    this.stdout = this.#read();
    const termios = new Uint8Array(TERMIOS_BYTES);
    this.terminal = {
      resize: size => this.#over || resize(c, master, size),
      // Of a terminal that cannot be asked any more nothing is known: as if it hid everything.
      echo: () => (c.tcgetattr(master, termios) < 0 ? HIDES : readEcho(termios)),
      sendBreak: () => void c.tcsendbreak(master, 0),
    };
    this.#master = masterOf(master, chunk => this.#push(chunk));
    const ended = reaped(c, pid).then(async exit => {
      await this.#finish(slave);
      return exit;
    });
    // It may fail before anybody waits for it.
    ended.catch(() => {});
    this.ended = ended;
  }

  #push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#waiting += chunk.length;
    if (this.#waiting >= AHEAD) this.#master.pause();
    this.#wake();
  }

  /** The program has ended: takes what is still in the terminal. */
  async #finish(slave: number): Promise<void> {
    this.#ended = true;
    if (this.#over) return closeSync(slave);
    // Somebody may have stopped it (Ctrl-S).
    this.#c.tcflow(slave, TCOON);
    await this.#master.drain(slave);
    this.abandon();
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#waiting > 0) {
        yield this.#take();
        if (this.#waiting < AHEAD && !this.#over) this.#master.resume();
      } else if (this.#over) return;
      else {
        await new Promise<void>(resolve => (this.#wake = resolve));
        this.#wake = () => {};
        const flood = this.#waiting >= FLOOD && this.#waiting < ENTRY / 2;
        if (flood && !this.#over) await new Promise(resolve => setTimeout(resolve, GATHER));
      }
    }
  }

  #take(): Uint8Array {
    const first = this.#chunks.shift()!;
    if (this.#chunks.length === 0) {
      this.#waiting -= first.length;
      return first;
    }
    const parts = [first];
    let length = first.length;
    while (this.#chunks.length > 0 && length + this.#chunks[0].length <= ENTRY) {
      const next = this.#chunks.shift()!;
      parts.push(next);
      length += next.length;
    }
    this.#waiting -= length;
    return new Uint8Array(Buffer.concat(parts));
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#over ? Promise.resolve() : this.#master.write(bytes);
  }

  /** A terminal has no end of input: who wants one types it. */
  end(): void {}

  signal(name: string): void {
    if (!this.#ended) signalGroup(this.pid, name);
  }

  signalAll(name: string): void {
    // Once our end is closed, the one that had it last.
    if (!this.#over) this.#foreground = this.#c.tcgetpgrp(this.#fd);
    // 0 and 1 would be everybody.
    if (this.#foreground > 1 && this.#foreground !== this.pid) signalGroup(this.#foreground, name);
    this.signal(name);
  }

  /** Closing our end hangs up the terminal: the system sends SIGHUP to whoever is in the foreground. */
  abandon(): void {
    if (this.#over) return;
    this.#over = true;
    this.#master.close();
    this.#wake();
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

function openMaster(c: Libc): { master: number; path: string } {
  const master = check(c, 'posix_openpt', c.posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  try {
    check(c, 'grantpt', c.grantpt(master));
    check(c, 'unlockpt', c.unlockpt(master));
    const name = new Uint8Array(128);
    check(c, 'ptsname_r', -c.ptsname_r(master, name, name.length));
    return { master, path: Buffer.from(name).toString('latin1').split('\0')[0] };
  } catch (error) {
    closeSync(master);
    throw error;
  }
}

function resize(c: Libc, master: number, { columns, rows, width = 0, height = 0 }: Size): void {
  // struct winsize.
  const clamp = (count: number) => Math.min(count, 0xffff);
  const winsize = Uint16Array.of(clamp(rows), clamp(columns), clamp(width), clamp(height));
  check(c, 'ioctl(TIOCSWINSZ)', c.ioctl(master, TIOCSWINSZ, new Uint8Array(winsize.buffer)));
}
