// Identification lines, "SSH-2.0-software comments" (RFC 4253 §4.2).
import { Disconnect, ProtocolError, printable } from '../errors.ts';

/** What we call ourselves on the wire. */
export const IDENTIFICATION = 'SSH-2.0-cordboard_0.1';
/** RFC 4253 §4.2: at most 255 bytes, CR and LF included. */
const MAX_LINE = 255;
/** A server may greet with other lines first; OpenSSH's client bears 1,024 lines of 8,192 bytes, 16 KiB in all is plenty. */
const MAX_PREAMBLE = 16 * 1024;

/** Collects bytes until the peer's identification line is complete. */
export class IdentReader {
  readonly #mayGreet: boolean;
  #bytes = new Uint8Array(0);
  /** Bytes and lines so far. */
  #greeted = 0;
  #lastWords = '';

  /** `mayGreet`: the peer is a server and may send other lines first. */
  constructor(mayGreet: boolean) {
    this.#mayGreet = mayGreet;
  }

  /**
   * @returns the line without CR LF, as bytes and as text that may be shown, and what followed it in `chunk`, or undefined if it has not come yet
   * @throws ProtocolError if the peer does not speak SSH-2
   */
  read(chunk: Uint8Array): { bytes: Uint8Array; line: string; rest: Uint8Array } | undefined {
    for (let at = 0; ; ) {
      const lf = chunk.indexOf(10, at);
      const piece = chunk.subarray(at, lf < 0 ? chunk.length : lf);
      this.#append(piece);
      if (lf < 0) return undefined;
      this.#greeted++;
      const bytes = this.#bytes[this.#bytes.length - 1] === 13 ? this.#bytes.subarray(0, -1) : this.#bytes;
      const line = String.fromCharCode(...bytes);
      this.#bytes = new Uint8Array(0);
      at = lf + 1;
      if (line.startsWith('SSH-')) return { bytes, line: check(line), rest: chunk.subarray(at) };
      if (!this.#mayGreet) throw notSsh(line);
      if (line.trim() !== '') this.#lastWords = line;
    }
  }

  /** The last line that the peer has sent in place of its identification, be it incomplete; made printable, "" if there is none. */
  get greeting(): string {
    const line = String.fromCharCode(...this.#bytes).trim();
    return printable(line === '' ? this.#lastWords : line);
  }

  #append(piece: Uint8Array): void {
    const all = new Uint8Array(this.#bytes.length + piece.length);
    all.set(this.#bytes);
    all.set(piece, this.#bytes.length);
    this.#greeted += piece.length;
    // Memory, for one of whom nothing is known yet; a line of garbage that does not end is refused at once.
    if (this.#greeted > MAX_PREAMBLE || (!this.#mayGreet && all.length > MAX_LINE - 1)) {
      throw notSsh(String.fromCharCode(...all.subarray(0, 60)));
    }
    this.#bytes = all;
  }
}

function check(line: string): string {
  // Memory.
  if (line.length > MAX_LINE - 2) {
    throw new ProtocolError('the identification line is too long', Disconnect.PROTOCOL_VERSION_NOT_SUPPORTED);
  }
  // Another version has other packets. A NUL, and a CR that ends no line, sshd refuses, too; of other bytes it takes any.
  if (!/^SSH-(2\.0|1\.99)-[^\0\r]+$/.test(line)) throw notSsh(line);
  return line.replace(/[^\x20-\x7e]/g, '\uFFFD');
}

function notSsh(line: string): ProtocolError {
  return new ProtocolError(
    `the peer does not speak SSH-2: "${printable(line, 60)}"`,
    Disconnect.PROTOCOL_VERSION_NOT_SUPPORTED,
  );
}
