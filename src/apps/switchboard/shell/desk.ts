// Sessions: the greeting of providers, a prompt for who has a terminal, commands line by line for who has none, and `ssh board COMMAND`.
import { detached, faultFields } from '../../../server/detached.ts';
import type { Logger } from '../../../server/server.ts';
import type { Session } from '../../../server/session.ts';
import { type Hints, hello, notNow, notYours, plugged, settled, tookOver } from '../greeting.ts';
import { lineKey } from '../lines.ts';
import type { Member } from '../members.ts';
import type { Registry } from '../registry.ts';
import type { Context, Office } from './command.ts';
import { type Answer, completions, runCommand } from './run.ts';
import { introduction } from './show.ts';
import { prompt } from './terminal.ts';

const PROMPT = 'board> ';
/** Characters that wait for the end of their line, where there is no terminal: as in nuttssh. */
const MAX_LINE = 4096;

/** What a desk needs beside what its commands do. */
export interface Front extends Office {
  /** Whether there is a prompt at all. */
  readonly policy: { readonly shell: boolean };
}

export class Desk {
  readonly #front: Front;
  readonly #hints: Hints;
  readonly #registry: Registry;
  readonly #log: Logger;

  /** `log` hears of faults. */
  constructor(front: Front, hints: Hints, registry: Registry, log: Logger) {
    this.#front = front;
    this.#hints = hints;
    this.#registry = registry;
    this.#log = log;
  }

  #context(member: Member, session: Session): Context {
    const width = session.terminal?.columns;
    const common = { office: this.#front, registry: this.#registry, hints: this.#hints, log: this.#log };
    return { ...common, member, ...(width && { width }) };
  }

  /** `ssh board COMMAND` */
  async exec(command: string, session: Session, member: Member): Promise<void> {
    // A name in it would be another one.
    if (member.grant.command === undefined && command.includes('\ufffd')) {
      await session.error('The command is not UTF-8.\n');
      return session.exit(1);
    }
    const answer = await runCommand(member.grant.command ?? command, this.#context(member, session));
    await say(session, answer);
    await session.exit(answer.status);
  }

  /** `ssh board` */
  async shell(session: Session, member: Member): Promise<void> {
    if (member.grant.command !== undefined) return this.exec('', session, member);
    await session.write(hello(member.info.user));
    session.onsignal = () => detached(session.exit(0), this.#log, 'a session could not be ended');
    if (member.lines.length > 0) await session.write(this.#plugged(member));
    else if (!this.#front.policy.shell) {
      await session.error('This server does not support interactive sessions.\n');
      return session.exit(1);
    } else await session.write(introduction(this.#context(member, session)));
    await session.exit(
      session.terminal ? await this.#attended(session, member) : await this.#scripted(session, member),
    );
  }

  /** What a provider is greeted with. */
  #plugged(member: Member): string {
    const { lines, name, names, alias } = member;
    const older = [...new Set(lines.flatMap(line => this.#front.board.olderOf(member, line)))];
    const keys = lines.map(lineKey);
    const { board } = this.#front;
    const doubted = older.filter(one => one.doubted);
    const others = older.filter(one => !one.doubted).map(one => settled(one, board.indexed(one)));
    return [
      plugged(this.#front.callName(member), lines, this.#hints),
      ...(doubted.length > 0 ? [tookOver(keys, doubted)] : []),
      ...others,
      ...(names.includes(name) ? [] : [(member.named ? notYours : notNow)(name, alias)]),
    ].join('');
  }

  /** Somebody sits at a terminal. Returns the exit status. */
  async #attended(session: Session, member: Member): Promise<number> {
    const leave = member.lines.length > 0 ? '\nPress Ctrl-C to unplug.\n' : '\n';
    await session.write(leave);
    if (!this.#front.policy.shell) {
      await this.#listen(member, teller(session), departure(session));
      return 0;
    }
    await session.write("Type 'help' for a list of commands.\n");
    const shell = prompt(session, {
      prompt: PROMPT,
      complete: line => completions(line, this.#context(member, session)),
      run: async line => {
        if (line.trim() === '') return { text: '', goesOn: true };
        const { out, error, quit } = await runCommand(line, this.#context(member, session));
        return { text: error + out, goesOn: !quit };
      },
      failed: error => this.#log.error({ client: member.info.id, ...faultFields(error) }, 'a prompt failed'),
    });
    await this.#listen(member, shell.say, shell.over);
    const wanted = await shell.over;
    await shell.drained();
    if (wanted) await session.write('\n').catch(() => false);
    return wanted ? 0 : 1;
  }

  /** Nobody does: what comes are commands, a line each, and the end of input is no wish to unplug lines (`ssh -n -R …` has none). */
  async #scripted(session: Session, member: Member): Promise<number> {
    let status = 0;
    const work = async () => {
      for await (const line of linesOf(session)) {
        if (line === undefined) return void (status = 1);
        if (line.trim() === '') continue;
        const answer = await runCommand(line, this.#context(member, session));
        status = answer.status;
        if (!(await say(session, answer)) || answer.quit) return;
      }
      if (member.lines.length > 0) await session.stream.closed;
    };
    // A client that is gone gets no answer; half a line of its is no command.
    const gone = (error: Error) => {
      if (error !== session.stream.error) throw error;
    };
    await this.#listen(member, teller(session), work().catch(gone));
    return status;
  }

  /** The session hears of its member's lines until `over`. */
  async #listen(member: Member, hear: (text: string) => void, over: Promise<unknown>): Promise<void> {
    member.greeted.add(hear);
    try {
      await over;
    } finally {
      member.greeted.delete(hear);
    }
  }
}

/** Writes what happens; a session that has ended meanwhile does not mind. */
const teller =
  (session: Session) =>
  (text: string): void => {
    session.write(text).catch(() => {});
  };

/** False if nobody reads it. */
async function say(session: Session, { out, error }: Answer): Promise<boolean> {
  if (error !== '') await session.error(error).catch(() => false);
  return out === '' || session.write(out).catch(() => false);
}

/** The lines that come; undefined for one that is too long, and that is the last. */
async function* linesOf({ stream }: Session): AsyncGenerator<string | undefined> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of stream) {
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split(/\r?\n/);
    rest = lines.pop()!;
    yield* lines;
    if (rest.length > MAX_LINE) yield undefined;
  }
  if (rest !== '') yield rest;
}

/** Resolves when the user wants to go, or has gone. */
async function departure({ stream }: Session): Promise<void> {
  // Ctrl-C and Ctrl-D come as bytes where the client has put its terminal into raw mode.
  try {
    for await (const bytes of stream) if (bytes.some(byte => byte === 3 || byte === 4)) return;
    await stream.closed;
  } catch (error) {
    if (error !== stream.error) throw error;
  }
}
