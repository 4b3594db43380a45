// Encoded terminal modes (RFC 4254 §8): read and written by opcode; what has no defined argument ends the list.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ProtocolError, UsageError } from '../../../src/protocol/errors.ts';
import { formatTerminalModes, parseTerminalModes, TerminalMode } from '../../../src/protocol/index.ts';

test('the example of RFC 4254 §8: speeds, and the end', () => {
  const modes = Uint8Array.of(128, 0, 0, 0x96, 0, 129, 0, 0, 0x96, 0, 0);
  const values = new Map<number, number>([
    [TerminalMode.ISPEED, 38400],
    [TerminalMode.OSPEED, 38400],
  ]);
  assert.equal(parseTerminalModes(modes), values);
  assert.equal(formatTerminalModes(values), modes);
});

test('opcodes are those of the RFC, each one once', () => {
  const { VINTR, VDISCARD, IGNPAR, IMAXBEL, IUTF8, ISIG, ECHO, PENDIN, OPOST, ONLRET, CS7, PARODD } = TerminalMode;
  const some = [VINTR, VDISCARD, IGNPAR, IMAXBEL, IUTF8, ISIG, ECHO, PENDIN, OPOST, ONLRET, CS7, PARODD];
  assert.equal(some, [1, 18, 30, 41, 42, 50, 53, 62, 70, 75, 90, 93]);
  const all = Object.values(TerminalMode);
  assert.is(new Set(all).size, all.length);
  const values = all.map((opcode, i): [number, number] => [opcode, 2 ** 32 - 1 - i]);
  assert.equal([...parseTerminalModes(formatTerminalModes(values))], values);
});

test('what is not known here is kept; what has no defined argument, and what follows the end, is not read', () => {
  assert.equal([...parseTerminalModes(Uint8Array.of(159, 0, 0, 0, 7, 160, 1, 2))], [[159, 7]]);
  assert.equal([...parseTerminalModes(Uint8Array.of(0, 53, 0, 0, 0, 1))], []);
  assert.equal([...parseTerminalModes(new Uint8Array(0))], []);
  assert.equal([...parseTerminalModes(Uint8Array.of(53, 0, 0, 0, 1))], [[53, 1]], 'an end that is missing');
});

test('a value that is cut short breaks the protocol', () => {
  assert.throws(
    () => parseTerminalModes(Uint8Array.of(53, 0, 0, 1)),
    (error: Error) => error instanceof ProtocolError,
  );
});

test('opcodes that nobody could read are a mistake', () => {
  for (const opcode of [0, -1, 160, 256, Number.NaN]) {
    assert.throws(
      () => formatTerminalModes([[opcode, 1]]),
      (error: Error) => error instanceof UsageError,
    );
  }
});

test.run();
