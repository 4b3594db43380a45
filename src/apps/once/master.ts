// Our end of a terminal, as the program reads and writes it: two ways, because what Node has for terminals other runtimes only read.
import { randomBytes } from 'node:crypto';
import { closeSync, read, readSync, write } from 'node:fs';
import { ReadStream } from 'node:tty';

/** Bytes come by themselves, and never more than a few KiB at a time. */
export interface Master {
  pause(): void;
  resume(): void;
  /** Resolves when the bytes have been taken, or nobody is there to take them. */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * The program has ended: resolves when all that it wrote has come, even if others still have the terminal open.
   * @param slave the other end, which we have open, too; closed here
   */
  drain(slave: number): Promise<void>;
  /** Nothing comes any more. Whoever is in the terminal's foreground is sent SIGHUP by the system. */
  close(): void;
}

/** Takes over the file descriptor. @param heard is given each piece, to keep */
export function masterOf(fd: number, heard: (chunk: Uint8Array) => void): Master {
  return 'write' in ReadStream.prototype ? new StreamMaster(fd, heard) : new BlockingMaster(fd, heard);
}

/** The most that is read at once; the system gives 4 KiB or less. */
const CHUNK = 64 * 1024;

/** On Node: a stream, which does not block. */
class StreamMaster implements Master {
  readonly #fd: number;
  readonly #heard: (chunk: Uint8Array) => void;
  readonly #stream: ReadStream;

  constructor(fd: number, heard: (chunk: Uint8Array) => void) {
    this.#fd = fd;
    this.#heard = heard;
    this.#stream = new ReadStream(fd);
    // What cannot be read or written any more belongs to a program that has ended.
    this.#stream.on('error', () => {});
    // Plain bytes; the runtime gives each chunk away.
    this.#stream.on('data', (chunk: Buffer) => heard(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length)));
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise(resolve => this.#stream.write(bytes, () => resolve()));
  }

  async drain(slave: number): Promise<void> {
    this.#stream.pause();
    // Each is heard by the listener for data.
    while (this.#stream.read() !== null);
    // From now on its end is reported: EIO, once all that was written has been read.
    closeSync(slave);
    const memory = new Uint8Array(CHUNK);
    for (;;) {
      let length = 0;
      try {
        length = readSync(this.#fd, memory);
      } catch {
        // EIO; or EAGAIN, if somebody else has the terminal open: all that the program wrote has been read then.
      }
      if (length === 0) return;
      this.#heard(memory.slice(0, length));
    }
  }

  close(): void {
    this.#stream.destroy();
  }
}

/** How many bytes the mark has; nobody can guess it. */
const MARK = 32;

/** On Bun: calls that block, each in a thread of its own. One read is always under way, but while nobody wants to hear. */
export class BlockingMaster implements Master {
  readonly #fd: number;
  readonly #heard: (chunk: Uint8Array) => void;
  readonly #memory = new Uint8Array(CHUNK);
  #reading = false;
  #paused = false;
  #closed = false;
  /** While draining: what comes before this is the program's. */
  #mark: Buffer | undefined;
  /** The last bytes, which may be the beginning of the mark. */
  #held: Buffer = Buffer.alloc(0);
  #drained = () => {};

  constructor(fd: number, heard: (chunk: Uint8Array) => void) {
    this.#fd = fd;
    this.#heard = heard;
    this.#read();
  }

  pause(): void {
    // What is left when draining, the system's buffer holds: it is not much.
    this.#paused = this.#mark === undefined;
  }

  resume(): void {
    this.#paused = false;
    this.#read();
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise(resolve => {
      const from = (at: number) => {
        if (at === bytes.length || this.#closed) return resolve();
        write(this.#fd, bytes, at, bytes.length - at, null, (error, written) =>
          error ? resolve() : from(at + written),
        );
      };
      from(0);
    });
  }

  /** The terminal keeps the order of what is written: behind a mark of ours there is nothing more of the program's. */
  async drain(slave: number): Promise<void> {
    if (this.#closed) return closeSync(slave);
    const mark = Buffer.from(randomBytes(MARK / 2).toString('hex'));
    this.#mark = mark;
    this.resume();
    write(slave, mark, () => closeSync(slave));
    await new Promise<void>(resolve => (this.#drained = resolve));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#drained();
    // Closed under a read, the descriptor could be somebody else's before the thread gets to it.
    if (!this.#reading) closeSync(this.#fd);
  }

  #read(): void {
    if (this.#reading || this.#closed || this.#paused) return;
    this.#reading = true;
    read(this.#fd, this.#memory, 0, CHUNK, null, (error, length) => {
      this.#reading = false;
      if (this.#closed) return closeSync(this.#fd);
      // EIO: nobody has the other end open.
      if (error || length === 0) return this.#end(this.#held);
      const chunk = this.#memory.slice(0, length);
      if (this.#mark === undefined) this.#heard(chunk);
      else if (this.#marked(chunk, this.#mark)) return;
      this.#read();
    });
  }

  /** Whether the mark has come. */
  #marked(chunk: Uint8Array, mark: Buffer): boolean {
    const bytes = Buffer.concat([this.#held, chunk]);
    const at = bytes.indexOf(mark);
    if (at >= 0) {
      this.#end(bytes.subarray(0, at));
      return true;
    }
    const kept = Math.max(0, bytes.length - MARK + 1);
    if (kept > 0) this.#heard(new Uint8Array(bytes.subarray(0, kept)));
    this.#held = bytes.subarray(kept);
    return false;
  }

  #end(last: Buffer): void {
    if (last.length > 0) this.#heard(new Uint8Array(last));
    this.#held = Buffer.alloc(0);
    this.#drained();
  }
}
