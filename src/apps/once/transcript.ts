// The transcript of the one session, while it is written: each entry is in the file, sealed, before anybody sees its effect.
import type { CryptoProvider, PrivateKey } from '../../crypto/provider.ts';
import { printable } from '../../protocol/errors.ts';
import { concat } from '../../protocol/wire/reader.ts';
import { cast } from './cast.ts';
import { comments, type Entry, type Format, type Heading, type Said, type Stream, unfinished } from './entry.ts';
import { OnceError } from './failure.ts';
import { EARLY_NOTES } from './limits.ts';
import type { Log } from './log-file.ts';
import { END, Sealing } from './seals.ts';
import { text } from './text.ts';

export interface TranscriptOptions {
  readonly log: Log;
  /** The session's host key. */
  readonly key: PrivateKey;
  /** Its public half as a line. */
  readonly publicKey: string;
  readonly provider: CryptoProvider;
  /** Milliseconds of a clock that does not go back, and of the one that shows the date. */
  readonly now?: () => number;
  readonly date?: () => number;
}

/** Notes from before the session are longer than this only if somebody has an endless user name. */
const MAX_NOTE = 2000;

const isSaid = (entry: Entry): entry is Said => ['runs', 'asked', 'env', 'modes'].includes(entry.kind);

/** What fails is an OnceError: the log cannot be written, and from then on everything fails; or it is full, and only its end is written. */
export class Transcript {
  readonly #options: Required<TranscriptOptions>;
  readonly #format: Format;
  readonly #sealing: Sealing;
  readonly #early: string[] = [];
  #unkept = 0;
  #began: number | undefined;
  /** Microseconds from the beginning to the last entry. */
  #last = 0;
  #failure: unknown;
  /** Bytes that have been written. */
  #size = 0;
  #full: OnceError | undefined;
  #ended = false;
  /** The beginning of a character whose rest has not come yet, by kind. */
  readonly #rest = new Map<Stream['kind'], Uint8Array>();

  constructor(options: TranscriptOptions) {
    this.#options = { now: () => performance.now(), date: Date.now, ...options };
    this.#format = options.log.path?.endsWith('.cast') ? cast : text;
    this.#sealing = new Sealing(options.key, options.provider);
  }

  /** Seconds since the last entry. */
  get quiet(): number {
    if (this.#began === undefined) return 0;
    return (this.#options.now() - this.#began) / 1000 - this.#last / 1e6;
  }

  /** Something to be known of the session, or of what came before it. */
  note(text: string): void {
    const short = printable(text, MAX_NOTE);
    if (this.#began !== undefined) return this.record({ kind: 'note', text: short });
    if (this.#early.length >= EARLY_NOTES) this.#unkept++;
    else this.#early.push(`# note ${new Date(this.#options.date()).toISOString()} ${short}\n`);
  }

  /** The session begins. */
  begin(heading: Omit<Heading, 'key' | 'began'>): void {
    this.#began = this.#options.now();
    const whole = { ...heading, key: this.#options.publicKey, began: this.#options.date() };
    const unkept = this.#unkept === 0 ? '' : `# note ${this.#unkept} more notes were not kept\n`;
    this.#write(this.#format.head(whole) + comments(whole) + this.#early.join('') + unkept, true);
  }

  /** Entries that happened now, all in one write. Once this returns, they are in the file. */
  record(...entries: readonly Entry[]): void {
    this.#append(entries);
  }

  /** The session ends before its time, and why; there is room for that always. */
  cut(why: string): void {
    if (this.#began !== undefined)
      this.#append([{ kind: 'note', text: printable(`the session was cut short: ${why}`, MAX_NOTE) }], true);
  }

  /** How the program ended: 128 + n by signal n. There is room for that always. */
  exit(status: number): void {
    this.#append([{ kind: 'exit', status }], true);
  }

  #append(entries: readonly Entry[], isEnd = false): void {
    if (this.#ended) return;
    const time = Math.max(this.#last, Math.round((this.#options.now() - this.#began!) * 1000));
    let lines = '';
    for (const entry of entries) {
      const whole = 'bytes' in entry ? this.#whole(entry) : entry;
      if (whole !== undefined) {
        lines += this.#format.entry(whole, time, this.#last);
        if (!isSaid(whole)) this.#last = time;
      }
      const rest = 'bytes' in entry ? this.#rest.get(entry.kind) : undefined;
      // It goes on to where the others go, so it is written; and again with its other bytes, once they are there.
      if (rest !== undefined) lines += `# begun ${entry.kind} ${Buffer.from(rest).toString('hex')}\n`;
    }
    if (lines !== '') this.#write(lines, isEnd);
  }

  /** The session is over, or there never was one: completes the file and signs it. */
  end(): void {
    if (this.#ended) return;
    if (this.#began === undefined) {
      // Nobody came: a stream shows nothing then, and a file says so.
      if (this.#options.log.path === undefined) return;
      this.begin({ columns: 80, rows: 24, command: '' });
    }
    this.#write(this.#unfinished() + END, true);
    this.#ended = true;
    this.#options.log.finish(this.#sealing.sign());
  }

  /** The bytes with what was kept of their character, without what is not whole yet. */
  #whole(entry: Stream): Stream | undefined {
    const { kind } = entry;
    const kept = this.#rest.get(kind);
    const bytes = kept === undefined ? entry.bytes : concat(kept, entry.bytes);
    const behind = unfinished(bytes);
    if (behind > 0) this.#rest.set(kind, bytes.slice(bytes.length - behind));
    else this.#rest.delete(kind);
    if (bytes.length === behind) return undefined;
    return { kind, bytes: bytes.subarray(0, bytes.length - behind) };
  }

  /** Characters that never became whole. */
  #unfinished(): string {
    const entries = [...this.#rest].map(([kind, bytes]) => ({ kind, bytes }));
    return entries.map(entry => this.#format.entry(entry, this.#last, this.#last)).join('');
  }

  /** @param always even where there is no room */
  #write(lines: string, always: boolean): void {
    if (this.#failure !== undefined) throw this.#failure;
    const { log } = this.#options;
    if (!always && this.#full === undefined && this.#size + Buffer.byteLength(lines) > log.room)
      this.#full = new OnceError(`The transcript is full: it may have ${Math.floor(log.room / 1024)} KiB`);
    if (!always && this.#full !== undefined) throw this.#full;
    try {
      const sealed = this.#sealing.seal(lines);
      log.write(sealed);
      this.#size += sealed.length;
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}
