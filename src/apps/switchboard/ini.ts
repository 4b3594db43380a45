// INI files by the rules of Python's configparser, which is what nuttssh reads its own with: no npm package has its interpolation and comments.
import { StateError } from './state.ts';

/** Keys (in lower case) and values of one section. */
export type Section = ReadonlyMap<string, string>;

/** How deep %(name)s may lead on to others: configparser's figure. */
const MAX_DEPTH = 10;

/** The sections of a file by name, with `%(name)s` replaced. @throws StateError that names the line */
export function parseIni(text: string): ReadonlyMap<string, Section> {
  const raw = new Map<string, Map<string, string>>();
  let section: Map<string, string> | undefined;
  let key: string | undefined;
  const fail = (line: number, what: string): never => {
    throw new StateError(`line ${line}: ${what}`);
  };
  for (const [index, full] of text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = full.trim();
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue;
    if (/^\s/.test(full) && section !== undefined && key !== undefined) {
      section.set(key, `${section.get(key)}\n${line}`);
      continue;
    }
    const heading = /^\[(.+)\]$/.exec(line);
    if (heading !== null) {
      if (raw.has(heading[1])) fail(index + 1, `there is a section [${heading[1]}] already`);
      section = new Map();
      raw.set(heading[1], section);
      key = undefined;
      continue;
    }
    const parts = /^(.*?)\s*[=:]\s*(.*)$/.exec(line);
    if (parts === null || parts[1] === '') return fail(index + 1, 'there is neither a [section] nor a "name = value"');
    if (section === undefined) return fail(index + 1, 'what stands here belongs to no [section]');
    key = parts[1].toLowerCase();
    if (section.has(key)) fail(index + 1, `${key} has a value already`);
    section.set(key, parts[2]);
  }
  const defaults = raw.get('DEFAULT') ?? new Map<string, string>();
  raw.delete('DEFAULT');
  return new Map(
    Array.from(raw, ([name, own]) => {
      const all = new Map([...defaults, ...own]);
      return [name, new Map(Array.from(all, ([key, value]) => [key, interpolate(value, all, key, 0)]))] as const;
    }),
  );
}

/** `%(name)s` is the value of that name, `%%` is one "%". */
function interpolate(value: string, all: Section, key: string, depth: number): string {
  if (depth > MAX_DEPTH) throw new StateError(`the value of ${key} leads in a circle`);
  return value.replace(/%(%|\(([^)]*)\)s|)/g, (whole, what: string, name: string | undefined) => {
    if (what === '%') return '%';
    const other = name === undefined ? undefined : all.get(name.toLowerCase());
    if (name === undefined) throw new StateError(`in the value of ${key}, "${whole}" is neither %% nor %(name)s`);
    if (other === undefined) throw new StateError(`in the value of ${key}, %(${name})s names nothing`);
    return interpolate(other, all, key, depth + 1);
  });
}

/** As configparser's getboolean. @throws StateError */
export function parseBoolean(text: string): boolean {
  const word = text.toLowerCase();
  if (['1', 'yes', 'true', 'on'].includes(word)) return true;
  if (['0', 'no', 'false', 'off'].includes(word)) return false;
  throw new StateError(`"${text}" is neither yes nor no`);
}
