// Identification lines, however they come in pieces (RFC 4253 §4.2).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Disconnect, ProtocolError } from '../../../src/protocol/errors.ts';
import { IDENTIFICATION, IdentReader } from '../../../src/protocol/transport/ident.ts';
import { concat } from '../../../src/protocol/wire/reader.ts';

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));

/** Feeds pieces until the line is there; what follows it in the last piece and in those behind. */
function read(mayGreet: boolean, pieces: readonly Uint8Array[]): { line: string; rest: string } | undefined {
  const reader = new IdentReader(mayGreet);
  for (const [i, piece] of pieces.entries()) {
    const found = reader.read(piece);
    if (found)
      return { line: found.line, rest: Buffer.from(concat(found.rest, ...pieces.slice(i + 1))).toString('latin1') };
  }
  return undefined;
}

function refused(mayGreet: boolean, text: string): void {
  try {
    read(mayGreet, [bytes(text)]);
  } catch (error) {
    assert.instance(error, ProtocolError);
    assert.is((error as ProtocolError).reason, Disconnect.PROTOCOL_VERSION_NOT_SUPPORTED);
    return;
  }
  assert.unreachable(`${JSON.stringify(text)} was taken`);
}

test('ours is one that we would accept', () => {
  assert.equal(read(false, [bytes(`${IDENTIFICATION}\r\n`)]), { line: IDENTIFICATION, rest: '' });
});

for (const [mayGreet, text] of [
  [false, 'SSH-2.0-x\r\n\0\0\0\x0cab'],
  [true, 'SSH-2.0-x y z\n\r\n\n'],
  [true, 'hello\r\n\nthere\n\rSSH\nSSH-2.0-x\r\nSSH-2.0-again\r\n'],
] as const) {
  test(`${JSON.stringify(text)}: cut into two or three pieces at every place it reads the same`, () => {
    const all = bytes(text);
    const whole = read(mayGreet, [all]);
    assert.ok(whole);
    for (let one = 0; one <= all.length; one++) {
      for (let two = one; two <= all.length; two++) {
        const pieces = [all.subarray(0, one), all.subarray(one, two), all.subarray(two)];
        assert.equal(read(mayGreet, pieces), whole, `cut at ${one} and ${two}`);
      }
    }
    assert.equal(
      read(
        mayGreet,
        [...all].map(byte => Uint8Array.of(byte)),
      ),
      whole,
    );
  });
}

test('without a line end there is no line yet', () => {
  assert.is(read(false, [bytes('SSH-2.0-x'), bytes('y\r')]), undefined);
  assert.is(read(true, [bytes('hello\nSSH-2.0-')]), undefined);
});

test('a lone CR is no line end', () => {
  refused(false, 'SSH-2.0-x\rSSH-2.0-y\r\n');
});

test('the limits hold for each of both sides', () => {
  const line = `SSH-2.0-${'x'.repeat(245)}`;
  assert.is(read(false, [bytes(`${line}\r\n`)])!.line, line);
  assert.is(read(true, [bytes(`${line}\r\n`)])!.line, line);
  refused(false, `${line}x\r\n`);
  refused(true, `${line}x\r\n`);
  refused(false, 'x'.repeat(400));
  refused(true, 'x'.repeat(100_000));
  refused(true, '\n'.repeat(100_000));
});

test('other lines come from servers only', () => {
  refused(false, '\r\nSSH-2.0-x\r\n');
  refused(false, 'hello\r\nSSH-2.0-x\r\n');
});

test('a line that begins with SSH- but is none of SSH-2 ends the search', () => {
  for (const line of ['SSH-1.5-x', 'SSH-', 'SSH-2.0-', 'SSH-2.00-x', 'SSH-2.0-\0', 'SSH-1.990-x']) {
    for (const mayGreet of [false, true]) refused(mayGreet, `${line}\r\nSSH-2.0-x\r\n`);
  }
});

test.run();
