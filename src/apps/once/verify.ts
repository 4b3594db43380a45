// Whether a transcript is as it was written: every seal, and the signature over the whole; and if not, where it was changed.
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { accelerated } from '../../crypto/accelerated.ts';
import { fingerprint, type PublicKey, parsePublicKey, parseSignature } from '../../crypto/keys/index.ts';
import { KeyFormatError } from '../../protocol/errors.ts';
import { equalBytes } from '../../protocol/wire/reader.ts';
import { MAGIC } from './entry.ts';
import { reason } from './failure.ts';
import { signatureOf } from './log-file.ts';
import { END, isSeal, NAMESPACE, SealCheck } from './seals.ts';

/** What has been found. */
export interface Verdict {
  /**
   * `whole`: nothing was changed, to the end of the session. `unfinished`: nothing was changed up to the last seal, and the
   * session never came to its end. `changed`: something is not as it was written.
   */
  readonly state: 'whole' | 'unfinished' | 'changed';
  /** The key of the seals; undefined if the transcript does not say it. */
  readonly key?: PublicKey;
  /** Lines of the file, and good seals among them. */
  readonly lines: number;
  readonly seals: number;
  /** All up to this line is as it was written. */
  readonly goodTo: number;
  /** What is wrong, and in which lines; for `changed`. */
  readonly problem?: string;
  /** What the signature beside the file, or at its end, came to. */
  readonly signature?: 'good' | 'absent';
}

/** Reads the file once. @throws the system's error if it cannot be read */
export function verify(file: string): Verdict {
  let line = 0;
  let goodTo = 0;
  let check: SealCheck | undefined;
  let key: PublicKey | undefined;
  let ended = false;
  let final = false;
  let embedded = '';
  const verdict = (state: Verdict['state'], rest: Partial<Verdict>): Verdict => ({
    ...{ state, key, lines: line, seals: check?.count ?? 0, goodTo },
    ...rest,
  });
  const changed = (from: number, to: number, why: string) =>
    verdict('changed', { problem: `${from === to ? `line ${from}` : `lines ${from} to ${to}`}: ${why}` });

  const first = keyIn(file);
  if (typeof first === 'string') return changed(1, 1, first);
  key = first.key;
  check = new SealCheck(key, accelerated);
  for (const bytes of linesOf(file)) {
    line++;
    // Standard output has the key in front of the transcript.
    if (line <= first.skip) {
      goodTo = line;
      continue;
    }
    if (final) {
      embedded += Buffer.from(bytes).toString('latin1');
      continue;
    }
    if (!check.take(bytes))
      return changed(goodTo + 1, line, 'not as they were written: the seal in the last of them does not fit');
    if (isSeal(bytes)) {
      goodTo = line;
      final = ended;
    } else ended = Buffer.compare(bytes, end) === 0;
  }
  if (!final) {
    if (goodTo < line) return changed(goodTo + 1, line, 'not sealed: a last write that was cut short, or a change');
    return check.count === 0 ? changed(1, line, 'there is no seal') : verdict('unfinished', {});
  }
  const text = embedded === '' ? textIfThere(signatureOf(file)) : embedded;
  if (text === undefined) return verdict('whole', { signature: 'absent' });
  const wrong = checkSignature(text, check);
  if (wrong === undefined) return verdict('whole', { signature: 'good' });
  if (embedded === '') return verdict('changed', { problem: `${signatureOf(file)}: ${wrong}` });
  return changed(goodTo + 1, line, `behind the end: ${wrong}`);
}

/** The exit code and what to print. @param wanted a file with a public key, the key itself, or its fingerprint */
export function report(file: string, wanted: string | undefined): { status: number; text: string } {
  let verdict: Verdict;
  try {
    verdict = verify(file);
  } catch (error) {
    return { status: 1, text: `${file}: cannot be read: ${reason(error)}` };
  }
  const { state, key, lines, seals, goodTo, problem, signature } = verdict;
  const upTo = goodTo === 0 ? 'nothing of it is vouched for' : `all up to line ${goodTo} is as it was written`;
  if (state === 'changed') return { status: 1, text: `${file}: CHANGED: ${problem}; ${upTo}` };
  const by = `the key ${fingerprint(key!.blob)}`;
  if (wanted !== undefined && !isKey(key!, wanted))
    return { status: 1, text: `${file}: CHANGED: it is sealed by ${by}, not by ${wanted}` };
  const who = wanted === undefined ? `${by}; compare it with the one that was announced` : by;
  if (state === 'unfinished')
    return { status: 3, text: `${file}: UNFINISHED: the session has no end; ${upTo} (${seals} seals), by ${who}` };
  const signed = signature === 'good' ? 'signed' : `sealed (${signatureOf(file)} is not there)`;
  return { status: 0, text: `${file}: whole: ${lines} lines with ${seals} seals, ${signed} by ${who}` };
}

/** How to verify it without this program. */
export const withSshKeygen = (file: string): string =>
  `ssh-keygen -Y verify -f ALLOWED -I once -n ${NAMESPACE} -s ${signatureOf(file)} < ${file}`;

const end = Buffer.from(END);

/** The key that the transcript names, and how many lines stand in front of it that are not its own; or what is wrong. */
function keyIn(file: string): { key: PublicKey; skip: number } | string {
  const lines: string[] = [];
  for (const bytes of linesOf(file)) {
    lines.push(Buffer.from(bytes).toString('utf8').trimEnd());
    if (lines.length === 4) break;
  }
  const magic = lines.indexOf(MAGIC);
  if (magic < 0) return 'this is no transcript, or its beginning was changed';
  const skip = magic === 1 && !lines[0].startsWith('{') ? 1 : 0;
  try {
    return { key: parsePublicKey((lines[magic + 1] ?? '').replace(/^# key /, '')), skip };
  } catch (error) {
    if (!(error instanceof KeyFormatError)) throw error;
    return `the host key cannot be read: ${error.message}`;
  }
}

function checkSignature(text: string, check: SealCheck): string | undefined {
  try {
    return check.check(parseSignature(text));
  } catch (error) {
    if (!(error instanceof KeyFormatError)) throw error;
    return error.message;
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

function textIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** Each line with its end; the last may have none. */
export function* linesOf(file: string): Generator<Uint8Array> {
  const fd = openSync(file, 'r');
  try {
    const block = Buffer.alloc(1024 * 1024);
    let rest: Buffer = Buffer.alloc(0);
    for (let length = readSync(fd, block); length > 0; length = readSync(fd, block)) {
      const bytes = Buffer.concat([rest, block.subarray(0, length)]);
      let start = 0;
      for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, start)) {
        yield bytes.subarray(start, at + 1);
        start = at + 1;
      }
      rest = bytes.subarray(start);
    }
    if (rest.length > 0) yield rest;
  } finally {
    closeSync(fd);
  }
}
