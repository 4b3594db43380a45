// Whether a transcript is as it was written: every seal, and the signature over the whole; and if not, where it was changed.
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { accelerated } from '../../crypto/accelerated.ts';
import { fingerprint, type PublicKey, parsePublicKey, parseSignature } from '../../crypto/keys/index.ts';
import { KeyFormatError, printable } from '../../protocol/errors.ts';
import { equalBytes } from '../../protocol/wire/reader.ts';
import { reason } from '../../server/runtime/reason.ts';
import { MAGIC } from './entry.ts';
import { OnceError } from './failure.ts';
import { SMALL_FILE } from './limits.ts';
import { signatureOf } from './log-file.ts';
import { linesIn, linesOf, partsOf } from './parts.ts';
import { END, SealCheck } from './seals.ts';

/** What has been found. */
export interface Verdict {
  /**
   * `whole`: nothing was changed, to the end of the session. `unfinished`: nothing was changed up to the last seal, and the
   * session never came to its end. `changed`: something is not as it was written.
   */
  readonly state: 'whole' | 'unfinished' | 'changed';
  /** The key of the seals; undefined if the transcript does not say it. */
  readonly key?: PublicKey;
  /** Lines that were read, and good seals among them. */
  readonly lines: number;
  readonly seals: number;
  /** All up to this line is as it was written. */
  readonly goodTo: number;
  /** For `changed`: in which lines something is wrong, the last one included, and what. */
  readonly problem?: { readonly from: number; readonly to: number; readonly why: string };
  /** There is a signature over the whole, beside the file or at its end. */
  readonly signed: boolean;
}

/** Reads the file. @throws the system's error if it cannot be read */
export function verify(file: string): Verdict {
  const first = firstLines(file);
  if ('why' in first) return { ...NOTHING, state: 'changed', problem: { from: 1, ...first } };
  const check = new SealCheck(first.key, accelerated);
  let lines = 0;
  let goodTo = 0;
  let atEnd = false;
  let over = false;
  let behind = '';
  const verdict = (state: Verdict['state'], rest: Partial<Verdict> = {}): Verdict => ({
    ...{ state, key: first.key, lines, seals: check.count, goodTo, signed: false },
    ...rest,
  });
  const changed = (to: number, why: string) => verdict('changed', { problem: { from: goodTo + 1, to, why } });

  for (const { bytes, isSeal } of partsOf(file)) {
    const before = lines;
    lines += linesIn(bytes);
    if (over) {
      behind += Buffer.from(bytes).toString('latin1');
      if (behind.length > SMALL_FILE) return changed(lines, 'behind the end of the transcript: this is no signature');
    } else if (!isSeal) {
      check.add(before === 0 ? bytes.subarray(first.foreign) : bytes);
      atEnd = endsTranscript(bytes);
    } else if (check.seal(bytes)) {
      goodTo = lines;
      over = atEnd;
    } else return changed(lines, 'not as they were written: the seal in the last of them does not fit');
  }
  if (!over && goodTo < lines) return changed(lines, 'not sealed: a last write that was cut short, or a change');
  if (!over) return verdict('unfinished');
  const signature = behind === '' ? textIfThere(signatureOf(file)) : behind;
  // The file is made at the beginning, and empty until the end.
  if (!signature) return verdict('whole');
  const why = checkSignature(signature, check);
  if (why === undefined) return verdict('whole', { signed: true });
  return changed(lines, behind === '' ? `${signatureOf(file)}: ${why}` : `behind the end of the transcript: ${why}`);
}

/** Exit codes. `anonymous`: nothing was changed, but the one key by which that is known is the one in the transcript. */
export const STATUS = { whole: 0, changed: 1, unfinished: 3, anonymous: 4 } as const;

/**
 * The exit code, see STATUS, and what to print.
 * @param wanted a file with a public key, the key itself, or its fingerprint
 * @throws OnceError if the file cannot be read
 */
export function report(file: string, wanted?: string): { status: (typeof STATUS)[keyof typeof STATUS]; text: string } {
  const { state, key, lines, seals, goodTo, problem, signed } = verdictOn(file);
  const vouched = goodTo === 0 ? 'no line of it is vouched for' : `all up to line ${goodTo} is as it was written`;
  if (problem !== undefined) {
    const { from, to, why } = problem;
    const where = from > to ? 'all lines' : from === to ? `line ${from}` : `lines ${from} to ${to}`;
    return { status: STATUS.changed, text: `${file}: CHANGED: ${where}: ${why}; ${vouched}` };
  }
  const by = `the key ${fingerprint(key!.blob)}`;
  if (wanted !== undefined && !isKey(key!, wanted))
    return { status: STATUS.changed, text: `${file}: CHANGED: it is sealed by ${by}, not by ${wanted}` };
  const whose = wanted === undefined ? `${by}; anybody can make one: give the one that was announced with -key` : by;
  if (state === 'unfinished')
    return {
      status: STATUS.unfinished,
      text: `${file}: UNFINISHED: the session has no end; ${vouched} (${seals} seals), by ${whose}`,
    };
  const how = signed ? 'signed' : `sealed (${signatureOf(file)} is not there, or empty)`;
  const all = `${lines} lines with ${seals} seals, ${how} by ${whose}`;
  if (wanted === undefined)
    return { status: STATUS.anonymous, text: `${file}: whole, but by whom is not known: ${all}` };
  return { status: STATUS.whole, text: `${file}: whole: ${all}` };
}

const { O_RDONLY, O_NONBLOCK } = constants;
const NOTHING = { lines: 0, seals: 0, goodTo: 0, signed: false };
const end = Buffer.from(END);

function endsTranscript(bytes: Uint8Array): boolean {
  const at = bytes.length - end.length;
  return at >= 0 && end.equals(bytes.subarray(at)) && (at === 0 || bytes[at - 1] === 0x0a);
}

/**
 * The key that the transcript names, and the bytes in front of it that do not belong to it: standard output begins with the
 * key. If there is no such key, what is wrong, and up to which line.
 */
function firstLines(file: string): { key: PublicKey; foreign: number } | { to: number; why: string } {
  const lines: string[] = [];
  for (const bytes of linesOf(file)) {
    lines.push(Buffer.from(bytes).toString('utf8').replace(/\n$/, ''));
    if (lines.length === 3) break;
  }
  const magic = lines.indexOf(MAGIC);
  const named = /^# key (.*)$/.exec(lines[magic + 1] ?? '')?.[1];
  if (magic < 0 || named === undefined)
    return { to: lines.length, why: 'this is no transcript, or its beginning was changed' };
  try {
    const foreign = magic === 1 && lines[0] === named ? Buffer.byteLength(lines[0]) + 1 : 0;
    return { key: parsePublicKey(named), foreign };
  } catch (error) {
    if (!(error instanceof KeyFormatError)) throw error;
    return { to: magic + 2, why: `the host key cannot be read: ${printable(error.message)}` };
  }
}

function checkSignature(text: string, check: SealCheck): string | undefined {
  try {
    return check.signature(parseSignature(text));
  } catch (error) {
    if (!(error instanceof KeyFormatError)) throw error;
    return printable(error.message);
  }
}

function verdictOn(file: string): Verdict {
  try {
    return verify(file);
  } catch (error) {
    throw new OnceError(`${file}: cannot be read: ${reason(error)}`);
  }
}

function isKey({ blob }: PublicKey, wanted: string): boolean {
  if (wanted.startsWith('SHA256:')) return fingerprint(blob) === wanted;
  const text = textIfThere(wanted) ?? wanted;
  try {
    return equalBytes(parsePublicKey(text.trim()).blob, blob);
  } catch (error) {
    if (!(error instanceof KeyFormatError)) throw error;
    return false;
  }
}

/** Of a signature, or a key. @throws Error if it is too large to be one; the system's error */
function textIfThere(file: string): string | undefined {
  try {
    const fd = openSync(file, O_RDONLY | O_NONBLOCK);
    try {
      const stats = fstatSync(fd);
      if (stats.isFile() && stats.size > SMALL_FILE) throw new Error(`${file} is too large for a signature or a key`);
      return stats.isFile() ? readFileSync(fd, 'utf8') : '';
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
