// The transcript of the one session, while it is written: each entry is in the file, sealed, before anybody sees its effect.
import type { CryptoProvider, PrivateKey } from '../../crypto/provider.ts';
import { printable } from '../../protocol/errors.ts';
import { concat } from '../../protocol/wire/reader.ts';
import { cast } from './cast.ts';
import { comments, type Entry, type Format, type Heading, type Stream, unfinished } from './entry.ts';
import { EARLY_NOTES } from './limits.ts';
import type { LogFile } from './log-file.ts';
import { END, Sealing } from './seals.ts';
import { text } from './text.ts';

export interface TranscriptOptions {
  readonly log: LogFile;
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

/** What fails is an OnceError of the log; from then on everything fails. */
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
    this.#write(this.#format.head(whole) + comments(whole) + this.#early.join('') + unkept);
  }

  /** Entries that happened now, all in one write. */
  record(...entries: readonly Entry[]): void {
    if (this.#ended) return;
    const time = Math.max(this.#last, Math.round((this.#options.now() - this.#began!) * 1000));
    let lines = '';
    for (const entry of entries) {
      const whole = 'bytes' in entry ? this.#whole(entry) : entry;
      if (whole === undefined) continue;
      lines += this.#format.entry(whole, time, this.#last);
      this.#last = time;
    }
    if (lines !== '') this.#write(lines);
  }

  /** The session is over, or there never was one: completes the file and signs it. */
  end(): void {
    if (this.#ended) return;
    if (this.#began === undefined) {
      // Nobody came: a stream shows nothing then, and a file says so.
      if (this.#options.log.path === undefined) return;
      this.begin({ columns: 80, rows: 24, command: '' });
    }
    this.#write(this.#unfinished() + END);
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

  #write(lines: string): void {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      this.#options.log.write(this.#sealing.seal(lines));
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}
