// What the commands have in common: how they are parsed, and how they fail.
import { type Command, CommanderError } from 'commander';
import { OnceError } from './apps/once/failure.ts';
import { StateError } from './apps/switchboard/state.ts';
import { KeyFormatError, UsageError } from './protocol/errors.ts';
import { collectSoon, enableTransfer, keepNurserySmall } from './server/runtime/memory.ts';
import { packaged } from './server/runtime/packaged.ts';

/** The version of the package. */
export const version = (): string => (JSON.parse(packaged('cordboard/package.json')) as { version: string }).version;

/** Runs a command. Exit codes: 0 done, 1 failed, 2 wrong usage; `once` has that of its shell. */
export function main(program: Command, args: readonly string[]): void {
  enableTransfer();
  keepNurserySmall();
  collectSoon();
  strict(program);
  program.parseAsync(args, { from: 'user' }).catch((error: unknown) => process.exit(failed(error, program.name())));
}

/** Wrong usage is an error of ours, for each command. */
function strict(command: Command): void {
  command.exitOverride().showHelpAfterError('(--help shows what is possible)');
  for (const each of command.commands) strict(each);
}

function failed(error: unknown, name: string): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof OnceError) {
    process.stderr.write(`${error.message}\n`);
    return error.status;
  }
  if (error instanceof StateError || error instanceof KeyFormatError || error instanceof UsageError) {
    process.stderr.write(`${name}: ${error.message}\n`);
    return 1;
  }
  // A fault of this program.
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  return 1;
}
