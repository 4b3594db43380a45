#!/usr/bin/env node
// The `cordboard` command: one parser, each application a subcommand.
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addSwitchboard } from './apps/switchboard/main.ts';
import { StateError } from './apps/switchboard/state.ts';
import { KeyFormatError, UsageError } from './protocol/errors.ts';
import { enableTransfer } from './server/runtime/memory.ts';

enableTransfer();

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Exit codes: 0 done, 1 failed, 2 wrong usage. */
const program = new Command('cordboard')
  .description('SSH-2 from the first byte, and services built on it')
  .version(version)
  .showHelpAfterError('(--help shows what is possible)')
  .exitOverride()
  .configureHelp({ showGlobalOptions: true });
addSwitchboard(program);
for (const command of program.commands) command.exitOverride().showHelpAfterError('(--help shows what is possible)');

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2);
  if (error instanceof StateError || error instanceof KeyFormatError || error instanceof UsageError) {
    process.stderr.write(`cordboard: ${error.message}\n`);
    process.exit(1);
  }
  throw error;
}
