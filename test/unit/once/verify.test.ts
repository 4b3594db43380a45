// A transcript as it is written, and what verification says of each way to change it: a byte, a line, the order, the end, the key.
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { freshKey } from '../../../src/apps/once/life.ts';
import { LogFile } from '../../../src/apps/once/log-file.ts';
import { entriesOf } from '../../../src/apps/once/play.ts';
import { NAMESPACE } from '../../../src/apps/once/seals.ts';
import { Transcript } from '../../../src/apps/once/transcript.ts';
import { report, type Verdict, verify } from '../../../src/apps/once/verify.ts';
import { accelerated } from '../../../src/crypto/accelerated.ts';
import { parseSignature, verifySignature } from '../../../src/crypto/keys/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'cordboard-verify-'));
test.after(() => rmSync(directory, { recursive: true }));

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const { key, publicKey, fingerprint } = freshKey(accelerated);
let files = 0;

/** Writes a short session; `upTo` leaves it without an end. */
function write(name: string, { finish = true, signer = { key, publicKey } } = {}): string {
  const path = join(directory, `${files++}-${name}`);
  let now = 0;
  const transcript = new Transcript({
    ...{ log: LogFile.open(path), ...signer, provider: accelerated },
    ...{ now: () => now++ * 250, date: () => Date.UTC(2026, 10, 25) },
  });
  transcript.note('sign-in refused: no line admits the key');
  transcript.begin({ columns: 80, rows: 24, term: 'xterm', command: '/bin/sh' });
  transcript.note('shell');
  transcript.record({ kind: 'output', bytes: bytes('$ ') });
  transcript.record({ kind: 'input', bytes: bytes('ls\r') }, { kind: 'size', columns: 90, rows: 30 });
  transcript.record({ kind: 'output', bytes: bytes('one\r\ntwo\r\n') });
  transcript.record({ kind: 'hidden' });
  // The rest of a character comes later.
  transcript.record({ kind: 'output', bytes: Uint8Array.of(0xc3) });
  transcript.record({ kind: 'output', bytes: Uint8Array.of(0xb6, 0x0a, 0xe2) });
  transcript.record({ kind: 'exit', status: 0 });
  if (finish) transcript.end();
  return path;
}

/** The lines of a file, with their ends. */
const linesOf = (path: string): string[] => readFileSync(path, 'latin1').match(/[^\n]*\n|[^\n]+$/g) ?? [];

/** Another file with this content, and the same signature beside it. */
function changed(path: string, lines: readonly string[], sign = true): string {
  const other = join(directory, `changed${path.endsWith('.cast') ? '.cast' : ''}`);
  writeFileSync(other, lines.join(''), 'latin1');
  if (sign && existsSync(`${path}.sig`)) copyFileSync(`${path}.sig`, `${other}.sig`);
  else rmSync(`${other}.sig`, { force: true });
  return other;
}

/** The line numbers that a verdict names. */
function place({ state, problem }: Verdict): [number, number] {
  assert.is(state, 'changed');
  return [problem!.from, problem!.to];
}

for (const name of ['log', 'session.cast']) {
  const path = write(name);
  const lines = linesOf(path);

  test(`${name}: as it was written it is whole, and says so with key and status`, () => {
    const verdict = verify(path);
    assert.equal([verdict.state, verdict.signed, verdict.lines], ['whole', true, lines.length]);
    assert.is(verdict.seals, lines.filter(line => line.startsWith('# seal ')).length);
    assert.equal([verdict.goodTo, statSync(path).mode & 0o777], [lines.length, 0o600]);
    // Anybody could have made it: only with the key is it somebody's.
    const { status, text } = report(path);
    assert.is(status, 4);
    assert.match(text, /: whole, but by whom is not known: /);
    assert.ok(text.includes(fingerprint), text);
    for (const wanted of [fingerprint, publicKey, `${publicKey} with a comment`])
      assert.is(report(path, wanted).status, 0);
    const other = freshKey(accelerated);
    for (const wanted of [other.fingerprint, other.publicKey, 'nonsense']) {
      assert.is(report(path, wanted).status, 1);
      assert.match(report(path, wanted).text, /CHANGED: it is sealed by/);
    }
    // A character that came in two pieces is one; one whose rest never came is there as well.
    const output = [...entriesOf(path)].flatMap(({ entry }) => (entry.kind === 'output' ? [...entry.bytes] : []));
    assert.is(
      Buffer.from(output).toString('hex'),
      Buffer.from('$ one\r\ntwo\r\n\xc3\xb6\n\xe2', 'latin1').toString('hex'),
    );
  });

  test(`${name}: any byte that is flipped is found, and in which lines`, () => {
    const whole = readFileSync(path);
    let line = 1;
    for (let at = 0; at < whole.length; at++) {
      // Every bit of the first lines, then one of each byte.
      const flips = at < 40 ? [1, 2, 4, 8, 16, 32, 64, 128] : [1 << (at % 8)];
      for (const flip of flips) {
        const copy = Buffer.from(whole);
        copy[at] ^= flip;
        const [from, to] = place(verify(changed(path, [copy.toString('latin1')])));
        assert.ok(from <= line && line <= to, `byte ${at}, in line ${line}: said to be in ${from} to ${to}`);
      }
      if (whole[at] === 0x0a) line++;
    }
  });

  test(`${name}: any line that is left out, doubled, or put in`, () => {
    for (let at = 0; at < lines.length; at++) {
      for (const other of [
        lines.toSpliced(at, 1),
        lines.toSpliced(at, 0, lines[at]),
        lines.toSpliced(at, 0, '# note of a stranger\n'),
      ]) {
        const [from, to] = place(verify(changed(path, other)));
        assert.ok(from <= at + 2 && at <= to, `line ${at + 1}: said to be in ${from} to ${to}`);
      }
    }
  });

  test(`${name}: any two lines that change places`, () => {
    for (let a = 0; a < lines.length; a++)
      for (let b = a + 1; b < lines.length; b++) {
        if (lines[a] === lines[b]) continue;
        const [from, to] = place(verify(changed(path, lines.with(a, lines[b]).with(b, lines[a]))));
        assert.ok(from <= a + 1 && a <= to, `lines ${a + 1} and ${b + 1}: said to be in ${from} to ${to}`);
      }
  });

  test(`${name}: cut behind any line, it is unfinished or changed, and never whole`, () => {
    for (let count = 0; count < lines.length; count++) {
      const { state, goodTo } = verify(changed(path, lines.slice(0, count), false));
      const sealed = count > 0 && lines[count - 1].startsWith('# seal ');
      assert.is(state, sealed ? 'unfinished' : 'changed', `after ${count} lines`);
      if (sealed) assert.is(goodTo, count);
    }
    // The last byte of all.
    assert.is(verify(changed(path, [lines.join('').slice(0, -1)], false)).state, 'changed');
  });

  test(`${name}: behind its end there is nothing`, () => {
    const more = verify(changed(path, [...lines, '9.000000 out more\n']));
    assert.equal(place(more), [lines.length + 1, lines.length + 1]);
    assert.match(more.problem!.why, /behind the end/);
  });

  test(`${name}: the signature beside it counts`, () => {
    const copy = changed(path, lines);
    const signature = readFileSync(`${copy}.sig`, 'utf8');
    rmSync(`${copy}.sig`);
    const without = verify(copy);
    assert.equal([without.state, without.signed], ['whole', false]);
    assert.match(report(copy).text, /sealed \(.*\.sig is not there, or empty\)/);
    // As it is until the end.
    writeFileSync(`${copy}.sig`, '');
    assert.equal([verify(copy).state, verify(copy).signed], ['whole', false]);
    for (const wrong of [
      'x'.repeat(70_000).slice(0, 60_000),
      signature.slice(0, 90),
      readFileSync(`${write(name, { signer: freshKey(accelerated) })}.sig`, 'utf8'),
    ]) {
      writeFileSync(`${copy}.sig`, wrong);
      assert.is(verify(copy).state, 'changed');
      assert.match(report(copy).text, /CHANGED: all lines: .*\.sig: /);
    }
  });

  test(`${name}: one whose end never came verifies to its last record`, () => {
    const dead = write(name, { finish: false });
    assert.is(readFileSync(`${dead}.sig`, 'utf8'), '');
    const { state, goodTo } = verify(dead);
    assert.equal([state, goodTo], ['unfinished', linesOf(dead).length]);
    const { status, text } = report(dead);
    assert.is(status, 3);
    assert.match(text, /UNFINISHED: the session has no end; all up to line \d+ is as it was written/);
    // Half a line of a write that was cut short.
    writeFileSync(dead, '5.0 out half', { flag: 'a' });
    assert.match(report(dead).text, /CHANGED: line \d+: not sealed: .*; all up to line \d+ is as it was written/);
  });

  test(`${name}: a seal is no signature over the whole, so that a part cannot pass for it`, () => {
    const before = lines.slice(0, lines.indexOf('# end\n'));
    const last = before.findLastIndex(line => line.startsWith('# seal '));
    const value = Buffer.from(before[last].trimEnd().split(' ')[3], 'base64');
    const whole = parseSignature(readFileSync(`${path}.sig`, 'utf8'));
    const signature = Buffer.from(whole.signature);
    value.copy(signature, signature.length - 64);
    const above = Buffer.from(before.slice(0, last).join(''), 'latin1');
    const check = (namespace: string) =>
      verifySignature({ ...whole, namespace, signature }, above, namespace, accelerated);
    // It is one of the same key over the same bytes, but for another purpose.
    assert.is(check('seal@cordboard'), undefined);
    assert.is(check(NAMESPACE), 'the signature is wrong');
  });
}

test('files of any size are read with little memory, or refused', () => {
  const path = write('log');
  const whole = readFileSync(path);
  // 10 GB without a line end, of which the file system keeps nothing.
  const endless = join(directory, 'endless');
  writeFileSync(endless, whole);
  truncateSync(endless, 10e9);
  assert.throws(() => report(endless), /: cannot be read: it has a line of more than 4 MiB, as no transcript has$/);
  // Lines behind the end; a signature and a key that are none.
  const longer = changed(path, [whole.toString('latin1'), 'x'.repeat(1000).concat('\n').repeat(100)]);
  assert.match(report(longer).text, /CHANGED: .*behind the end of the transcript: this is no signature/);
  const huge = join(directory, 'huge');
  writeFileSync(huge, '');
  truncateSync(huge, 10e9);
  assert.throws(() => report(path, huge), /huge is too large for a signature or a key$/);
  renameSync(huge, `${path}.sig`);
  assert.throws(() => report(path), /\.sig is too large for a signature or a key$/);
  // What others say is quoted with care.
  writeFileSync(endless, `# cordboard once transcript 1\n# key ssh-\x1b]52;c;aGk=\x07 AAAA\n`);
  assert.not.match(report(endless).text, /[\x00-\x1f]/);
});

test('a transcript that is full takes nothing more but its end, with the reason', () => {
  for (const name of ['log', 'session.cast']) {
    const path = join(directory, `${files++}-${name}`);
    const log = LogFile.open(path, 64 * 1024);
    const transcript = new Transcript({ log, key, publicKey, provider: accelerated });
    transcript.begin({ columns: 80, rows: 24, command: 'yes' });
    const some = { kind: 'output', bytes: bytes('y\n'.repeat(1000)) } as const;
    let taken = 0;
    assert.throws(() => {
      for (; ; taken++) transcript.record(some);
    }, /^The transcript is full: it may have 64 KiB$/);
    const size = statSync(path).size;
    assert.ok(taken > 3 && size <= 64 * 1024, `${taken} entries, ${size} bytes`);
    // However small it is.
    assert.throws(() => transcript.note('x'), /full/);
    assert.is(statSync(path).size, size);
    transcript.cut('The transcript is full');
    transcript.exit(129);
    transcript.end();
    assert.is(report(path, publicKey).status, 0);
    assert.match(readFileSync(path, 'utf8'), /the session was cut short: The transcript is full/);
    assert.ok(statSync(path).size < size + 2000);
  }
});

test('what is no transcript, or not there', () => {
  const none = join(directory, 'none');
  writeFileSync(none, 'hello\n');
  assert.match(report(none).text, /CHANGED: line 1: this is no transcript/);
  writeFileSync(none, '# cordboard once transcript 1\n# key ssh-ed25519 AAAA\n');
  assert.match(report(none).text, /the host key cannot be read/);
  writeFileSync(none, `# cordboard once transcript 1\n# key ${publicKey}\n`);
  assert.is(verify(none).state, 'changed');
  writeFileSync(none, '');
  assert.is(report(none).status, 1);
  assert.throws(() => report(join(directory, 'absent')), /absent: cannot be read: no such file or directory$/);
  assert.throws(() => report(directory), /: cannot be read: it is a directory$/);
});

test.run();
