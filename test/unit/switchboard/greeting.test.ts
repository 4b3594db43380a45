// Commands that the switchboard prints: they must work as they stand, however its address is written.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { plugged } from '../../../src/apps/switchboard/greeting.ts';

const command = (host: string, port: number, line: number): string => {
  const text = plugged('alice-0', [{ kind: 'tcp', host: '', port: line }], { host, port });
  return text.trimEnd().split('\n').at(-1)!.trim();
};

test('an IPv6 address has brackets in -J, and none as the host', () => {
  assert.is(command('::1', 2222, 22), 'ssh -J [::1]:2222 alice-0');
  assert.is(command('::1', 22, 22), 'ssh -J [::1] alice-0');
  assert.is(command('::1', 2222, 6379), 'ssh -p 2222 -N -L 6379:alice-0:6379 ::1');
});

test('a name has none', () => {
  assert.is(command('board.example.org', 2222, 22), 'ssh -J board.example.org:2222 alice-0');
  assert.is(command('board.example.org', 22, 22), 'ssh -J board.example.org alice-0');
});

test.run();
