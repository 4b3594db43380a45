// Runs the commands of the shell, and completes them.
import { printable } from '../../../protocol/index.ts';
import { faultFields } from '../../../server/detached.ts';
import { Busy } from '../database.ts';
import { ban, invite, kick, unban } from './act.ts';
import {
  type Command,
  CommandError,
  type Context,
  isAdmin,
  noWords,
  parseArguments,
  Status,
  wordsOf,
} from './command.ts';
import { COMMAND_NAMES, type CommandName } from './command-names.ts';
import { circuits, introduction, listeners, names, whoami } from './show.ts';

const help: Command = {
  usage: '[COMMAND]',
  summary: 'this text',
  run({ words }, context) {
    const able = available(context);
    if (words.length > 0) {
      const name = able.find(one => one === words[0]);
      if (words.length > 1 || name === undefined)
        throw new CommandError(`there is no command ${printable(words[0], 80)}`);
      const { usage, summary } = COMMANDS[name];
      return { text: `${`${name} ${usage}`.trim()}\n  ${summary}\n`, json: { name, usage, summary } };
    }
    const json = able.map(name => ({ name, usage: COMMANDS[name].usage, summary: COMMANDS[name].summary }));
    const list = json.map(({ name, usage, summary }) => entry(`${name} ${usage}`.trimEnd(), summary)).join('');
    return { text: `${introduction(context)}\nCommands:\n${list}Each gives JSON with --json.\n`, json };
  },
  complete: context => available(context),
};

/** Characters before the summaries. */
const COLUMN = 20;

const entry = (usage: string, summary: string): string =>
  usage.length + 4 > COLUMN
    ? `  ${usage}\n${' '.repeat(COLUMN)}${summary}\n`
    : `${`  ${usage}`.padEnd(COLUMN)}${summary}\n`;

const quit: Command = {
  usage: '',
  summary: 'end the session',
  run(args) {
    noWords(args);
    return { text: '', json: null };
  },
};

const COMMANDS: Readonly<Record<CommandName, Command>> = {
  ...{ help, listeners, circuits, whoami, names },
  ...{ kick, ban, unban, invite, quit },
};

/** Those that the key may use. */
const available = (context: Context): CommandName[] =>
  COMMAND_NAMES.filter(name => !COMMANDS[name].admin || isAdmin(context));

/** What was said, on which stream, and the exit status. */
export interface Answer {
  readonly out: string;
  readonly error: string;
  readonly status: number;
  /** The session is to end. */
  readonly quit: boolean;
}

/** What other shells say for quit. */
const QUIT = ['quit', 'exit', 'logout'];

/** Runs one line. A fault of ours in it is logged, and answered as such: nothing else ends by it. */
export async function runCommand(line: string, context: Context): Promise<Answer> {
  const [word, ...rest] = wordsOf(line);
  const quit = QUIT.includes(word);
  const known = quit ? 'quit' : COMMAND_NAMES.find(one => one === word);
  const able = available(context);
  if (known === undefined) {
    const error = `Unsupported command: ${printable(line.trim(), 80)}\nTry: ${able.join(', ')}\n`;
    return { out: '', error, status: Status.FAILED, quit };
  }
  const command = COMMANDS[known];
  try {
    if (!able.includes(known)) throw new CommandError('your key has no right to that', Status.FORBIDDEN);
    const words = rest.filter(word => word !== '--json');
    const { text, json } = await command.run(parseArguments(words, command.options ?? []), context);
    const out = words.length < rest.length ? `${JSON.stringify(json)}\n` : text;
    return { out, error: '', status: Status.DONE, quit };
  } catch (error) {
    if (error instanceof Busy)
      return { out: '', error: `${known}: ${error.message}\n`, status: Status.FAILED, quit: false };
    if (!(error instanceof CommandError)) {
      const { log, member } = context;
      log.error(
        { client: member.info.id, user: member.info.user, ...faultFields(error) },
        `the command ${known} failed`,
      );
      return { out: '', error: `${known}: internal error\n`, status: Status.FAILED, quit: false };
    }
    const usage = error.status === Status.USAGE ? `Usage: ${`${known} ${command.usage}`.trim()}\n` : '';
    return { out: '', error: `${known}: ${error.message}\n${usage}`, status: error.status, quit: false };
  }
}

/** What may come in place of the last word of a line, for a tab. */
export async function completions(line: string, context: Context): Promise<string[]> {
  const words = line.trimStart().split(/\s+/);
  const last = words[words.length - 1];
  const able = available(context);
  const name = able.find(one => one === words[0]);
  const all: readonly string[] =
    words.length === 1 ? able : ((name && (await COMMANDS[name].complete?.(context))) ?? []);
  return all.filter(one => one.startsWith(last));
}
