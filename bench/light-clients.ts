// The other end of light.ts: a process full of light clients, and what they are told.
import { join } from 'node:path';
import { type Scope, soon } from '../test/kit/processes.ts';
import { keyFile } from '../test/kit/ssh.ts';
import { OWNER } from './contenders.ts';
import type { Answer, Command } from './light.ts';

export type Tell = (command: Command) => Promise<{ count: number; seconds: number }>;

/** Seconds for a command: ten thousand sign-ins, on a busy machine. */
const LIMIT = 300;

/** Starts the process. @returns what gives it a command, one at a time, and waits for the answer */
export function lightClients(scope: Scope): Tell {
  const program = join(import.meta.dirname, 'light.ts');
  const child = scope.start(process.execPath, ['--import', 'tsx', program, keyFile(OWNER)]);
  let answers = 0;
  return async command => {
    child.write(`${JSON.stringify(command)}\n`);
    answers++;
    const [, line] = await soon(
      `light clients to ${command.do}`,
      child.says(new RegExp(`^(?:.*\\n){${answers - 1}}(.*)\\n`)),
      LIMIT,
    );
    const answer = JSON.parse(line) as Answer;
    if ('error' in answer) throw new Error(answer.error);
    return answer;
  };
}
