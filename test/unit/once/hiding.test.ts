// What input is hidden: by the terminal's modes, and where these do not tell, by the question; and never the keys that act.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Hiding } from '../../../src/apps/once/hiding.ts';
import type { Echo } from '../../../src/apps/once/termios.ts';

const SHOWN: Echo = { echo: true, canonical: true };
const GETPASS: Echo = { echo: false, canonical: true };
/** Editors, shells with line editing, nested ssh. */
const RAW: Echo = { echo: false, canonical: false };

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

/** What is recorded of the pieces, in one text; "*" for something hidden. */
function recorded(pieces: readonly (readonly [text: string, echo: Echo])[], ...shown: string[]): string {
  const hiding = new Hiding();
  for (const text of shown) hiding.output(bytes(text));
  return pieces
    .flatMap(([text, echo]) => hiding.input(bytes(text), echo))
    .map(entry => (entry.kind === 'input' ? Buffer.from(entry.bytes).toString() : '*'))
    .join('');
}

const typed = (text: string, echo: Echo) => [...text].map(key => [key, echo] as const);

test('what the terminal shows is recorded as typed', () => {
  assert.is(recorded([...typed('ls\r', SHOWN), ['pasted text\n', SHOWN]], 'Password: '), 'ls\rpasted text\n');
});

test('what it gathers and does not show is hidden, its length too; Return and Ctrl-C are seen', () => {
  assert.is(recorded([...typed('secret\r', GETPASS), ...typed('ls\r', SHOWN)]), '*\rls\r');
  assert.is(recorded(typed('a', GETPASS)), recorded(typed('a much longer secret', GETPASS)));
  assert.is(recorded([['one\ntwo\nthree', GETPASS]]), '*\n*\n*');
  assert.is(recorded(typed('sec\x03', GETPASS)), '*\x03');
  assert.is(recorded(typed('\r\x04\x1a\x1c', GETPASS)), '\r\x04\x1a\x1c');
  // Corrections are part of the secret.
  assert.is(recorded(typed('sex\x7fcret\x15new\r', GETPASS)), '*\r');
  // Each line for itself.
  assert.is(recorded([...typed('one\r', GETPASS), ...typed('two\r', GETPASS)]), '*\r*\r');
});

test('without gathering, what is typed is hidden only behind a question for a secret', () => {
  assert.is(recorded(typed(':wq\r', RAW), '~\r\n~\r\n'), ':wq\r');
  for (const question of [
    "alice@db's password: ",
    '[sudo] password for alice: ',
    'Enter passphrase for key "/root/.ssh/id_ed25519": ',
    'PIN: ',
    'Verification code:',
    'Neues Passwort: \r\n\x1b[32mNew password:\x1b[0m ',
    '\x1b]0;title\x07Password: ',
    'New password: ***',
  ])
    assert.is(recorded(typed('secret\r', RAW), question), '*\r', question);
  for (const harmless of ['$ ', 'Password: \r\n$ ', 'the password is wrong.\r\n', 'Last login: today\r\n# ', 'Name: '])
    assert.is(recorded(typed('ls\r', RAW), harmless), 'ls\r', harmless);
});

test('a question that comes in pieces', () => {
  assert.is(recorded(typed('x\r', RAW), '$ ssh db\r\n', 'root@db', "'s pass", 'word: '), '*\r');
  assert.is(recorded(typed('x\r', RAW), 'a'.repeat(100_000), '\r\nPassword: '), '*\r');
  assert.is(recorded(typed('x\r', RAW), 'Password: ', 'x'.repeat(100_000)), 'x\r');
});

test.run();
