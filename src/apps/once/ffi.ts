// Calls functions of the C library: by koffi, or by what the runtime has for it (Bun), as in the one binary.
import { UsageError } from '../../protocol/errors.ts';

/** What a function takes. Memory is lent for the call only; a list of strings, or bytes in their place, ends with null in C, and needs none here. */
export type Argument = 'int' | 'long' | 'memory' | 'string' | 'strings';

/** A function that gives back an int. */
export type Call = (...values: readonly unknown[]) => number;

/** Finds functions by their names, and says why the last call failed. */
export interface Foreign {
  find(name: string, takes: readonly Argument[]): Call;
  errno(): number;
}

/** @throws UsageError where there is no way to call them */
export const foreign = (): Promise<Foreign> => (process.versions.bun === undefined ? byKoffi() : byBun());

const KOFFI = { int: 'int', long: 'unsigned long', memory: 'void *', string: 'const char *', strings: 'const char **' };

async function byKoffi(): Promise<Foreign> {
  const { default: koffi } = await import('koffi').catch((error: Error) => {
    throw new UsageError(`terminals need the optional package koffi, which cannot be loaded: ${error.message}`);
  });
  const library = koffi.load(null);
  return {
    find(name, takes) {
      const types = takes.map(type => KOFFI[type]);
      const call = library.func(name, 'int', types) as unknown as Call;
      return (...values) => call(...values.map(value => (Array.isArray(value) ? [...value.map(text), null] : value)));
    },
    errno: () => koffi.errno(),
  };
}

/** What is needed of bun:ffi. */
interface BunFfi {
  dlopen(
    library: string,
    functions: Record<string, { args: readonly string[]; returns: string }>,
  ): { symbols: Record<string, Call> };
  ptr(memory: Uint8Array): number;
  read: { i32(address: number): number };
}

const BUN = { int: 'i32', long: 'u64', memory: 'ptr', string: 'ptr', strings: 'ptr' };
/** The C library's name with glibc, and with musl. */
const LIBRARIES = ['libc.so.6', `libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`];

async function byBun(): Promise<Foreign> {
  const { dlopen, ptr, read }: BunFfi = await import('bun:ffi' as string);
  const load = (name: string, args: readonly string[], returns: string): Call => {
    for (const library of LIBRARIES) {
      try {
        return dlopen(library, { [name]: { args, returns } }).symbols[name];
      } catch {
        // The other one, then.
      }
    }
    throw new UsageError(`the C library has no ${name}`);
  };
  // What `errno` stands for in C.
  const place = load('__errno_location', [], 'ptr');
  return {
    find(name, takes) {
      const call = load(
        name,
        takes.map(type => BUN[type]),
        'i32',
      );
      return (...values) => {
        /** What lists point to: it has to be there until the function has returned. */
        const kept: Uint8Array[] = [];
        const list = (strings: readonly (string | Uint8Array)[]) => {
          const all = strings.map(text);
          kept.push(...all);
          return BigUint64Array.from([...all.map(bytes => BigInt(ptr(bytes))), 0n]);
        };
        const given = values.map((value, index) => {
          if (takes[index] === 'strings') return list(value as string[]);
          return takes[index] === 'string' ? text(value as string) : value;
        });
        const result = call(...given);
        kept.length = 0;
        return result;
      };
    },
    errno: () => read.i32(place()),
  };
}

/** As C has it. */
const text = (given: string | Uint8Array): Uint8Array =>
  typeof given === 'string' ? Buffer.from(`${given}\0`) : Buffer.concat([given, Buffer.of(0)]);
