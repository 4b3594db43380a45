// The files around a life: keys, the log, the announce command, standard input and output as a socket.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { announce, findCommand } from '../../../src/apps/once/announce.ts';
import { OnceError } from '../../../src/apps/once/failure.ts';
import { readKeys } from '../../../src/apps/once/keys.ts';
import { LogFile } from '../../../src/apps/once/log-file.ts';
import { stdioSocket } from '../../../src/apps/once/stdio.ts';

const directory = mkdtempSync(join(tmpdir(), 'cordboard-files-'));
test.after(() => rmSync(directory, { recursive: true }));

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';

const path = (name: string, text?: string, mode?: number): string => {
  const file = join(directory, name);
  if (text !== undefined) writeFileSync(file, text, { mode });
  return file;
};

function refused(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    assert.instance(error, OnceError);
    return (error as OnceError).message;
  }
  throw new Error('it was not refused');
}

test('keys: comments and blank lines anywhere; a file that has one wrong line is none', () => {
  const good = path('good', `# first\n\n${KEY} alice\r\nfrom="::1",command="x" ${KEY}\n\n# last`);
  assert.equal(
    readKeys(good).map(({ line }) => line),
    [3, 4],
  );
  const said = (text: string) => refused(() => readKeys(path('bad', text))).replace(path('bad'), 'F');
  assert.is(said(''), 'authorized keys invalid: F contained no keys');
  assert.is(said('# only this\n'), 'authorized keys invalid: F contained no keys');
  assert.match(said(`${KEY}\nrubbish\n`), /^authorized keys invalid: F contains unparseable data \(line 2: .+\)$/);
  assert.match(said(`permitted="x" ${KEY}\n`), /\(line 1: its option permitted is not supported\)$/);
  assert.match(said('a\nb\nc\nd\n'), /\(line 1: .*; line 2: .*; line 3: .*; …\)$/);
  assert.is(
    refused(() => readKeys(path('absent'))),
    `authorized keys invalid: ${path('absent')} does not exist`,
  );
  assert.is(
    refused(() => readKeys(directory)),
    `authorized keys invalid: ${directory} is not readable`,
  );
});

test('a log is a new file that only its owner reads, with its signature beside it', () => {
  const file = path('log');
  const log = LogFile.open(file);
  log.write(Buffer.from('one\n'));
  assert.equal([readFileSync(file, 'utf8'), statSync(file).mode & 0o777], ['one\n', 0o600]);
  log.finish('signed\n');
  assert.equal([readFileSync(`${file}.sig`, 'utf8'), statSync(`${file}.sig`).mode & 0o777], ['signed\n', 0o600]);
  assert.match(
    refused(() => LogFile.open(file)),
    /^Could not write to log file: .*log exists already$/,
  );
  rmSync(file);
  assert.match(
    refused(() => LogFile.open(file)),
    /log\.sig exists already$/,
  );
  assert.match(
    refused(() => LogFile.open(directory)),
    /it is a directory$/,
  );
  assert.match(
    refused(() => LogFile.open('/nope/x')),
    /: no such file or directory$/,
  );
  assert.match(
    refused(() => LogFile.open('/dev/full').write(Buffer.from('x'))),
    /^Could not write to log file: \/dev\/full: the disk is full$/,
  );
});

test('nobody else has a say in where a transcript and its signature go', () => {
  const why = (name: string) => refused(() => LogFile.open(name)).replaceAll(directory, 'D');
  // A file that somebody has made beforehand may be open in their program.
  for (const [name, made] of [
    ['before', 'before'],
    ['beside', 'beside.sig'],
  ]) {
    path(made, '');
    assert.is(why(path(name)), `Could not write to log file: D/${name}: D/${made} exists already`);
    assert.is(readFileSync(path(made), 'utf8'), '');
  }
  assert.not.ok(existsSync(path('beside')), 'what was made for nothing is gone');
  // A link, to a file that is there or not.
  const target = path('target', 'precious');
  for (const [name, made, to] of [
    ['link', 'link', target],
    ['dangling', 'dangling', path('nowhere')],
    ['linked', 'linked.sig', target],
    ['half', 'half.sig', path('nowhere')],
  ]) {
    symlinkSync(to, path(made));
    assert.is(why(path(name)), `Could not write to log file: D/${name}: D/${made} is a symbolic link`);
  }
  assert.is(readFileSync(target, 'utf8'), 'precious');
  assert.not.ok(existsSync(path('nowhere')));
  // Made at the beginning: what comes in between changes nothing.
  const log = LogFile.open(path('early'));
  assert.is(readFileSync(path('early.sig'), 'utf8'), '');
  rmSync(path('early.sig'));
  symlinkSync(target, path('early.sig'));
  log.finish('signed');
  assert.is(readFileSync(target, 'utf8'), 'precious');
  // A directory in which others could put another file in its place.
  mkdirSync(path('shared'));
  chmodSync(path('shared'), 0o777);
  assert.is(
    why(path('shared/log')),
    'Could not write to log file: D/shared/log: others can write to its directory D/shared: chmod o-w D/shared',
  );
  chmodSync(path('shared'), 0o1777);
  LogFile.open(path('shared/log'));
  // Ours are the only names that root can give away.
  if (process.geteuid?.() !== 0) return;
  mkdirSync(path('theirs'));
  chownSync(path('theirs'), 1234, 1234);
  assert.match(why(path('theirs/log')), /: its directory D\/theirs belongs to user 1234, who could replace it$/);
  execFileSync('mkfifo', [path('fifo')]);
  chownSync(path('fifo'), 1234, 1234);
  assert.match(why(path('fifo')), /: D\/fifo belongs to user 1234$/);
});

test('the room for a transcript is what was asked for, and no more than half of what is free', () => {
  const { bavail, bsize } = statfsSync(directory);
  assert.is(LogFile.open(path('small'), 100_000).room, 100_000);
  const { room } = LogFile.open(path('large'), Number.MAX_SAFE_INTEGER);
  assert.ok(room < bavail * bsize, `${room} of ${bavail * bsize}`);
  assert.is(LogFile.open('/dev/null', 100_000).room, 100_000);
});

test('an announce command is a program that can be run, by its path or in PATH', async () => {
  const about = { publicKey: KEY, fingerprint: 'SHA256:x', host: 'h', port: 22, ssh: 'ssh h', knownHost: `h ${KEY}` };
  assert.match(findCommand('sh'), /\/sh$/);
  mkdirSync(path('folder'));
  for (const wrong of ['/nope', 'no-such-program', path('folder'), path('plain', '#!/bin/sh\n', 0o644)])
    assert.is(
      refused(() => findCommand(wrong)),
      `Invalid announce command: ${wrong}`,
    );
  const told = path('told', '#!/bin/sh\nprintf "%s|" $# "$@" "$OTSSH_PORT"\n', 0o755);
  assert.is(await announce(told, about), `1|${KEY}|22|`);
  for (const [script, why] of [
    ['echo no >&2; exit 4', 'Announce failed: 4 no'],
    ['exit 1', 'Announce failed: 1'],
    ['kill -TERM $$', 'Announce failed: SIGTERM'],
  ]) {
    const failing = path('failing', `#!/bin/sh\n${script}\n`, 0o755);
    const error = await announce(failing, about).catch((error: Error) => error);
    assert.is((error as Error).message, why);
  }
  // Says that it can be run, and cannot.
  const broken = path('broken', '#!/no/such/interpreter\n', 0o755);
  assert.is(
    ((await announce(broken, about).catch((error: Error) => error)) as Error).message,
    `Invalid announce command: ${broken}`,
  );
});

test('standard input and output are a socket, whatever they are', async () => {
  const input = new PassThrough();
  const output = new PassThrough();
  const socket = stdioSocket({ address: '192.0.2.7', port: 5 }, input, output);
  const heard: string[] = [];
  const over = new Promise<void>(resolve =>
    socket.start({
      data: bytes => heard.push(Buffer.from(bytes).toString()),
      end: () => heard.push('end'),
      drain: () => {},
      close: () => resolve(),
    }),
  );
  assert.equal([socket.address, socket.port], ['192.0.2.7', 5]);
  input.write('hello');
  socket.write([Buffer.from('wor'), Buffer.from('ld')]);
  await new Promise(resolve => setImmediate(resolve));
  // Some runtimes give back what was written piece by piece.
  let said = '';
  for (let part = output.read(); part !== null; part = output.read()) said += part;
  assert.equal([heard.join(), said], ['hello', 'world']);
  input.end();
  await over;
  assert.equal(heard, ['hello', 'end']);
});

test.run();
