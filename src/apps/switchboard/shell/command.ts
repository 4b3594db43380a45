// What a command of the shell is: `ssh board COMMAND` and the prompt run the same.
import { type Eventually, printable } from '../../../protocol/index.ts';
import type { Logger } from '../../../server/server.ts';
import type { Snapshot } from '../events.ts';
import type { Hints } from '../greeting.ts';
import type { Board, Provider } from '../lines.ts';
import type { Member } from '../members.ts';
import type { Registry } from '../registry.ts';

/** What a command was good for: the exit status of `ssh board COMMAND`. */
export const Status = {
  DONE: 0,
  /** There is no such command, client, name, … */
  FAILED: 1,
  /** The command does not take what it was given. */
  USAGE: 2,
  /** The key has no right to that. */
  FORBIDDEN: 3,
} as const;

/** What commands work on. */
export interface Office {
  readonly board: Board;
  /** What there is, in all processes. */
  survey(): Promise<Snapshot>;
  /** Ends connections. */
  kick(ids: readonly string[], reason: string): void;
  /** Ends connections of those who would not be let in any more. */
  recheck(): void;
  /** From now on the next who comes with the name has it. */
  release(name: string): Promise<void>;
  /** What others call a provider's lines by. */
  callName(provider: Provider): string;
  /** Notes down who has done what. */
  note(by: Member, what: string): void;
}

export interface Context {
  /** Hears of faults. */
  readonly log: Logger;
  readonly office: Office;
  readonly registry: Registry;
  readonly hints: Hints;
  readonly member: Member;
  /** Characters of the window; undefined where the output goes to a program. */
  readonly width?: number;
}

/** The same for people and for programs. */
export interface Outcome {
  readonly text: string;
  readonly json: unknown;
}

/** Why a command was not carried out. */
export class CommandError extends Error {
  readonly status: number;
  constructor(message: string, status: number = Status.FAILED) {
    super(message);
    this.status = status;
  }
}

export interface Command {
  /** Its arguments, as help shows them. */
  readonly usage: string;
  readonly summary: string;
  /** Only for keys with the right `admin`. */
  readonly admin?: boolean;
  /** `--for 2h` and the like. */
  readonly options?: readonly string[];
  /** @throws CommandError */
  run(args: Arguments, context: Context): Eventually<Outcome>;
  /** What may stand in place of an argument. */
  complete?(context: Context): Eventually<readonly string[]>;
}

export interface Arguments {
  readonly words: readonly string[];
  readonly options: ReadonlyMap<string, string>;
}

export const isAdmin = ({ member }: Context): boolean => member.grant.rights.includes('admin');
export const seesAll = ({ member }: Context): boolean => member.grant.rights.includes('list');

/** The words of a line; those in quotes may have blanks. */
export function wordsOf(line: string): string[] {
  return Array.from(
    line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g),
    ([, double, single, plain]) => double ?? single ?? plain,
  );
}

/** Takes `--name value` and `--name=value` out of the words. @throws CommandError for one that the command does not have */
export function parseArguments(words: readonly string[], allowed: readonly string[]): Arguments {
  const options = new Map<string, string>();
  const rest: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const [, name, value] = /^--([a-z-]+)(?:=(.*))?$/s.exec(words[i]) ?? [];
    if (name === undefined) rest.push(words[i]);
    else if (!allowed.includes(name)) throw new CommandError(`there is no option --${name}`, Status.USAGE);
    else if (value === undefined && i + 1 >= words.length)
      throw new CommandError(`--${name} has no value`, Status.USAGE);
    else options.set(name, value ?? words[++i]);
  }
  return { words: rest, options };
}

/** The one word that there must be. @throws CommandError */
export function onlyWord({ words }: Arguments, what: string): string {
  if (words.length !== 1) throw new CommandError(`say ${what}`, Status.USAGE);
  return words[0];
}

/** @throws CommandError if there are any words */
export function noWords({ words }: Arguments): void {
  if (words.length > 0) throw new CommandError(`"${printable(words[0], 80)}" makes no sense here`, Status.USAGE);
}
