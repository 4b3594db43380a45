#!/usr/bin/env node
// The `otssh` command: `cordboard once` under the name and with the spelling of its specification, single dashes included.
import { Command } from 'commander';
import { defineOnce } from './apps/once/main.ts';
import { main, version } from './command.ts';

/** "-port=2022" and "-port 2022" as they are wanted here; "-h" and what is for the command to run stay. */
const spelled = (argument: string): string => (/^-[a-z][a-z-]+(?:=|$)/.test(argument) ? `-${argument}` : argument);

main(defineOnce(new Command('otssh').version(version())), process.argv.slice(2).map(spelled));
