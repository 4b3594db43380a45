// Drives a client program through its modes: towards our server, as consumer and provider of the switchboard, towards otssh.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { accelerated } from '../../../src/crypto/accelerated.ts';
import { type Client, passwords, publicKeys } from '../../../src/server/index.ts';
import type { InteropTable, Wanted } from '../../kit/interop-table.ts';
import { echoServer } from '../../kit/loopback.ts';
import { door } from '../../kit/once.ts';
import { type Child, type Ended, pause, type Scope, soon } from '../../kit/processes.ts';
import {
  type KeyType,
  keyFile,
  type Provider,
  provide,
  readKey,
  type Switchboard,
  serve,
  ssh,
  switchboard,
  type Target,
} from '../../kit/ssh.ts';

/**
 * What a program does in one run: "server": signs in to our server twice and runs commands; "consume": calls a line; "provide": plugs
 * one in, and echoes; "once": a session at otssh.
 */
export type Mode = 'server' | 'consume' | 'provide' | 'once';

/** A client to try. */
export interface Program {
  readonly who: string;
  version(): string;
  readonly wanted: Wanted;
  /** The type of key that it signs in with. */
  readonly key: KeyType;
  /** PKCS#1 and SEC1 files, for those that read no newer ones. */
  readonly pem?: boolean;
  readonly modes: readonly Mode[];
  /** What it does as a provider when its caller has said all (EOF): by default it goes on sending; some end the circuit, or do not hear of it. */
  readonly eof?: 'ends' | 'ignored';
  /** It exchanges keys again only when it wants to itself, and gives up when the server begins. */
  readonly ownRekey?: boolean;
  /** A mode that cannot work, how its first step fails, and the words of the table for it. */
  readonly refused?: { readonly mode: Mode; readonly error: RegExp; readonly result: string };
  /** The command without its last argument, the mode. What has to be compiled is compiled into `directory`. */
  command(scope: Scope, directory: string): readonly string[] | Promise<readonly string[]>;
}

/** Seconds between two questions whether a client lives; after two without an answer it counts as dead. */
const KEEPALIVE = 2;
/** Seconds of doing nothing: longer than a dead client would be kept. */
const IDLE = 3 * KEEPALIVE + 2;
const PASSWORD = 'correct horse';

/** The words of the table for each step that a program reports. */
const WORDS: Readonly<Record<string, string>> = {
  exec: 'command',
  status: 'exit status, stderr',
  cat: '2 MiB both ways',
  rekey: 'rekey',
  idle: 'idle past 2 keepalives',
  password: 'password',
  'half-close': 'circuit with half-close',
  echo: 'circuit',
  close: 'circuit given up',
  pty: 'terminal, exit status',
  run: 'command, exit status',
};

/** What all programs use: a switchboard, and a line of stock ssh to call. */
export interface Ground {
  readonly board: Switchboard;
  readonly line: Provider;
  /** The port of the service behind it, which echoes. */
  readonly echo: number;
}

/** The port of the line to call, and of the line that programs plug in: on the switchboard these are mere numbers. */
const LINE = 4321;

export async function ground(scope: Scope): Promise<Ground> {
  const board = await switchboard(scope, { args: ['--dead-after', `${3 * KEEPALIVE}s`] });
  const echo = await echoServer(scope);
  const line = await provide(scope, board, 'carol', [`${LINE}:localhost:${echo}`]);
  return { board, line, echo };
}

/** One line of a program: a step that went well, or how it failed. */
interface Step {
  readonly step: string;
  readonly ok: boolean;
  readonly error?: string;
}

/** Runs `program` in all its modes at once, and adds its rows to `rows`. @throws if a step fails */
export async function drive(scope: Scope, program: Program, { board, line, echo }: Ground, rows: InteropTable) {
  const { who, key, modes } = program;
  const directory = scope.directory();
  const keyPath = await keyOf(scope, program, directory);
  const [file, ...args] = await program.command(scope, directory);
  const user = who
    .toLowerCase()
    .match(/[a-z0-9]+/g)!
    .join('-');
  const start = (mode: Mode, target: Target, user: string): Child => {
    const known = join(directory, `known-${mode}`);
    writeFileSync(known, `${target.known.join('\n')}\n`);
    return scope.start(file, [...args, mode], {
      cwd: directory,
      env: {
        HOME: directory,
        // What Debian's ssh_config has clients send.
        LANG: 'C.UTF-8',
        TARGET_HOST: target.host,
        TARGET_PORT: String(target.port),
        TARGET_USER: user,
        TARGET_KEY: keyPath,
        TARGET_KNOWN: known,
        TARGET_PASSWORD: PASSWORD,
        PEER: line.alias,
        LINE: String(LINE),
        ECHO: String(echo),
        IDLE: String(IDLE),
      },
    });
  };
  /** Runs a mode to its end. Undefined if it was refused, as it has to be. */
  const run = async (mode: Mode, target: Target, user: string): Promise<string[] | undefined> => {
    const child = start(mode, target, user);
    if (program.refused?.mode !== mode) return finished(child);
    const { step, ok, error } = stepsOf(await soon(child.title, child.ended, 120)).at(-1)!;
    assert.not.ok(ok, `${step} went well`);
    assert.match(error ?? '', program.refused.error);
    return undefined;
  };

  const server = async () => {
    const own = Buffer.from(readKey('alice', key).blob);
    const seen: Client[] = [];
    const right = (offer: { readonly key: Uint8Array }) => own.equals(offer.key);
    const target = await serve(scope, {
      provider: accelerated,
      authenticators: [
        publicKeys({ acceptable: right, proven: right }),
        passwords((user, password) => user === 'alice' && password === PASSWORD),
      ],
      // The 2 MiB through `cat` are enough for a few.
      ...(program.ownRekey ? {} : { rekeyBytes: 1024 * 1024 }),
      times: { keepaliveInterval: KEEPALIVE, keepaliveCount: 2 },
      signedIn: client => void seen.push(client),
    });
    const steps = await run('server', target, 'alice');
    if (steps?.includes('cat') && !program.ownRekey) {
      const again = seen.some(({ connection }) => connection.transport.exchanges > 1);
      assert.ok(again, 'keys were exchanged again under way');
      steps.splice(steps.indexOf('cat') + 1, 0, 'rekey');
    }
    return ['server', steps] as const;
  };

  const consume = async () => ['consumer', await run('consume', board, `${user}-c`)] as const;

  const once = async () => {
    const open = await door(scope, { keys: [readFileSync(`${keyFile('alice', key)}.pub`, 'utf8').trim()] });
    const steps = await run('once', open, 'alice');
    if (steps) assert.is((await soon('otssh to end', open.child.ended)).code, 3);
    return ['otssh', steps] as const;
  };

  const provides = async () => {
    const child = start('provide', board, user);
    await soon('the line', child.says(/"plugged"|Virtual listener/), 60);
    const call = async () => {
      const input = Buffer.alloc(300_000, 'every byte value \0\x01\xff ~. \r\n', 'latin1');
      const caller = ssh(scope, board, user, ['-W', `${user}:${LINE}`], { key: 'alice', keyType: key });
      caller.write(input);
      if (program.eof) await soon('the echo', caller.wrote(input.length));
      if (program.eof === 'ignored') caller.signal('SIGTERM');
      else caller.endInput();
      const { stdout, code, stderr } = await soon('the circuit to end', caller.ended);
      if (program.eof !== 'ignored') assert.is(code, 0, stderr);
      assert.ok(stdout.equals(input), `${stdout.length} of ${input.length} bytes, or others`);
    };
    await call();
    await pause(IDLE * 1000);
    await call();
    assert.not.ok(child.over, 'the provider lives');
    assert.is(child.stdout.match(/"plugged"|Virtual listener/g)?.length, 1, 'times that it has plugged in');
    return ['provider', [program.eof ? 'echo' : 'half-close', 'idle']] as const;
  };

  const all = { server, consume, once, provide: provides };
  // The roles in the order of their list, though they run at once.
  for (const [role, steps] of await Promise.all(modes.map(mode => all[mode]()))) {
    const tried = steps?.map(step => (step === 'key' ? `${key} key` : (WORDS[step] ?? step))) ?? ['sign-in'];
    const result = steps ? '✓' : program.refused!.result;
    rows.entry({ who, version: program.version(), role, tried: tried.join(', '), result });
  }
}

/** What a program has said, line by line. */
const stepsOf = ({ stdout }: Ended): Step[] =>
  stdout
    .toString()
    .split('\n')
    .filter(text => text.startsWith('{'))
    .map(text => JSON.parse(text));

/** The steps that a program has gone through when it has ended. @throws if one of them failed, or it did */
async function finished(child: Child): Promise<string[]> {
  const ended = await soon(child.title, child.ended, 120);
  const steps = stepsOf(ended);
  for (const { step, ok, error } of steps) assert.ok(ok, `${child.title}: ${step}: ${error}`);
  assert.is(ended.code, 0, `${child.title}: ${ended.stderr}`);
  assert.ok(steps.length > 0, `${child.title} has done nothing: ${ended.stderr}`);
  return steps.map(({ step }) => step);
}

/** The file of alice's private key in a form that the program reads. */
async function keyOf(scope: Scope, { key, pem }: Program, directory: string): Promise<string> {
  const file = join(directory, `id_${key}`);
  copyFileSync(keyFile('alice', key), file);
  copyFileSync(`${keyFile('alice', key)}.pub`, `${file}.pub`);
  if (pem) {
    const { code, stderr } = await scope.run('ssh-keygen', ['-q', '-p', '-m', 'PEM', '-P', '', '-N', '', '-f', file]);
    assert.is(code, 0, stderr);
  }
  return file;
}
