// Functions that a user of the library gives to it, as far as its sources tell: members of options, handlers and events, and `on…` properties.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../../src');
/** Where a user's functions come in. */
const FILES = ['protocol/connection.ts', 'protocol/channels/channel.ts', 'protocol/channels/mux.ts'];
const FOLDERS = ['server', 'client'];
/** What is given to us, by its name; of the rest only `on…` is. */
const GIVEN = /(?:Options|Handlers?|Events|Authenticator|Policy|Logger)$/;

/** "Shape.member" of each, sorted. */
export function handlers(): string[] {
  const folders = FOLDERS.flatMap(folder =>
    readdirSync(join(root, folder))
      .filter(name => name.endsWith('.ts'))
      .map(name => `${folder}/${name}`),
  );
  return [...FILES, ...folders].flatMap(file => handlersIn(readFileSync(join(root, file), 'utf8'))).sort();
}

/** The same of one source. */
export function handlersIn(source: string): string[] {
  const shapes = source.matchAll(/^export (?:interface|class) (\w+)[^\n]*\{\n(.*?)^\}/gms);
  return [...shapes].flatMap(([, name, body]) =>
    [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??(\(|:[^;]*?(?:=>|(?:Handler|Check)\b|\bunknown\)))/gm)]
      .map(([, member]) => member)
      .filter(member => (GIVEN.test(name) ? true : /^on[a-z]+$/.test(member)))
      .map(member => `${name}.${member}`),
  );
}
