#!/usr/bin/env node
// The `cordboard` command: one parser, each application a subcommand.
import { Command } from 'commander';
import { addOnce } from './apps/once/main.ts';
import { addSwitchboard } from './apps/switchboard/main.ts';
import { main, version } from './command.ts';

const program = new Command('cordboard')
  .description('SSH-2 from the first byte, and services built on it')
  .version(version())
  .configureHelp({ showGlobalOptions: true });
addSwitchboard(program);
addOnce(program);

main(program, process.argv.slice(2));
