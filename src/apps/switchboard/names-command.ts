// `cordboard switchboard names`: which name belongs to whom, and how it is given up; the switchboard may run meanwhile.
import type { Command } from 'commander';
import { printable } from '../../protocol/errors.ts';
import { momentText } from './measures.ts';
import { type Claim, Registry } from './registry.ts';
import { type Settings, settingsOf } from './settings.ts';
import { releaseNames } from './shared-names.ts';
import { table } from './shell/table.ts';
import { openDirectory, print, registryFile, StateError } from './state.ts';

/** Adds it below `switchboard`, whose flags say where the names are. */
export function addNames(switchboard: Command): void {
  const names = switchboard
    .command('names')
    .summary('list names that belong to keys, or release them')
    .description(
      'A plain name belongs to the key that first plugged a line in under it. These commands list such names, and release\n' +
        'them for whoever comes first; use the same --data (or --config) as the switchboard, which may run.',
    )
    .option('--json', 'as JSON')
    .action(({ json }: { json?: boolean }) =>
      within(switchboard, registry => print(json ? asJson(registry.names()) : asTable(registry.names()))),
    );
  names
    .command('release')
    .description('Releases names. Who is connected keeps them until he leaves.')
    .argument('<name...>', 'names')
    .action((list: string[]) =>
      within(switchboard, async (registry, { directory }) => {
        const names = list.map(name => name.toLowerCase());
        const here: string[] = [];
        for (const name of names) if (!(await registry.release(name))) here.push(name);
        const unknown = directory === undefined ? here : await releaseNames(directory, names);
        if (unknown.length > 0)
          throw new StateError(`nobody has the name ${unknown.map(name => printable(name)).join(', ')}`);
      }),
    );
}

async function within(
  switchboard: Command,
  body: (registry: Registry, settings: Settings) => void | Promise<void>,
): Promise<void> {
  const settings = settingsOf(switchboard);
  openDirectory(settings.data);
  const registry = await Registry.open(registryFile(settings.data));
  try {
    await body(registry, settings);
  } finally {
    registry.close();
  }
}

const day = (time: number) => momentText(time).slice(0, 10);

const asJson = (claims: readonly Claim[]) =>
  `${JSON.stringify(claims.map(({ name, owner, claimed, used }) => ({ name, owner, claimed: day(claimed), used: day(used) })))}\n`;

const asTable = (claims: readonly Claim[]) =>
  claims.length === 0
    ? 'No names.\n'
    : table(
        ['NAME', 'OWNER', 'SINCE', 'LAST USED'],
        claims.map(({ name, owner, claimed, used }) => [name, owner, day(claimed), day(used)]),
      );
