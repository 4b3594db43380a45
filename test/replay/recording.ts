// The file of a recorded conversation: a line for each thing that went over the wire or that our core said, in order.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { noble } from '../../src/crypto/noble.ts';
import { byName, type CryptoProvider } from '../../src/crypto/provider.ts';
import { IDENTIFICATION } from '../../src/protocol/transport/ident.ts';

/** What a replay must know besides the scenario, by name. Our offer is kept, so that a new algorithm leaves old recordings valid. */
export type Head = Readonly<Record<string, string>>;

/** One line: its first character says what it is. */
export type Line =
  /** `<` a chunk that came, `>` one that we sent; base64. */
  | `< ${string}`
  | `> ${string}`
  /** `!` what our core told its owner. */
  | `! ${string}`
  /** The peer sends no more. */
  | '.';

export interface Recording {
  readonly head: Head;
  readonly lines: readonly Line[];
}

const lists = ['kex', 'ciphers', 'macs', 'signatures'] as const;

/** The head of a conversation that is about to be recorded. */
export function headOf(peer: string, target?: { host: string; port: number }): Head {
  const offer = Object.fromEntries(lists.map(list => [list, noble[list].map(({ name }) => name).join(',')]));
  return { peer, ident: IDENTIFICATION, ...offer, ...(target && { target: `${target.host} ${target.port}` }) };
}

/** The portable provider with the recorded offer, and `random` as its only source of chance. */
export function providerOf(head: Head, random: CryptoProvider['random']): CryptoProvider {
  const pick = <T extends { readonly name: string }>(list: readonly T[], names: string): T[] =>
    names.split(',').map(name => {
      const found = byName(list, name);
      if (found === undefined) throw new Error(`${name} was recorded, and is no longer there`);
      return found;
    });
  return {
    ...noble,
    random,
    kex: pick(noble.kex, head.kex),
    ciphers: pick(noble.ciphers, head.ciphers),
    macs: pick(noble.macs, head.macs),
    signatures: pick(noble.signatures, head.signatures),
  };
}

export const directory = join(import.meta.dirname, '..', '..', 'test-vectors', 'replay');
const EXTENSION = '.txt';

export function writeRecording(name: string, { head, lines }: Recording): void {
  const text = [...Object.entries(head).map(([key, value]) => `= ${key} ${value}`), ...lines, ''].join('\n');
  writeFileSync(join(directory, name + EXTENSION), text);
}

/** @throws if there is none, or it has a line that is none of these */
export function readRecording(name: string): Recording {
  const head: Record<string, string> = {};
  const lines: Line[] = [];
  for (const line of readFileSync(join(directory, name + EXTENSION), 'utf8')
    .trimEnd()
    .split('\n')) {
    const [, key, value] = /^= (\S+) (.*)$/.exec(line) ?? [];
    if (key !== undefined) head[key] = value;
    else if (line === '.' || /^[<>!] /.test(line)) lines.push(line as Line);
    else throw new Error(`${name}: not a line of a recording: ${line}`);
  }
  return { head, lines };
}

/** A name of a file in `directory`, without its extension. */
export const nameOf = (file: string): string | undefined =>
  file.endsWith(EXTENSION) ? file.slice(0, -EXTENSION.length) : undefined;

export const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
export const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));
