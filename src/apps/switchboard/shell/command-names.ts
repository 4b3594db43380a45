// What the shell and `ssh board COMMAND` know: other files refer to commands by these names.
export const COMMAND_NAMES = [
  ...(['help', 'listeners', 'circuits', 'whoami', 'names'] as const),
  ...(['kick', 'ban', 'unban', 'invite', 'quit'] as const),
];
export type CommandName = (typeof COMMAND_NAMES)[number];

/** The name of the command in a line, if it is one of ours. */
export function commandIn(line: string): CommandName | undefined {
  const [word] = line.trim().split(/\s+/, 1);
  return COMMAND_NAMES.find(name => name === word);
}
