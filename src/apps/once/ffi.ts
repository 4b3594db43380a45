// Calls functions of the C library: by koffi, or by what the runtime has for it (Node 26), as in the one binary.
import { UsageError } from '../../protocol/errors.ts';

/** What a function takes. Memory is lent for the call only; a list of strings ends with null in C, and needs none here. */
export type Argument = 'int' | 'long' | 'memory' | 'string' | 'strings';

/** A function that gives back an int. */
export type Call = (...values: readonly unknown[]) => number;

/** Finds functions by their names, and says why the last call failed. */
export interface Foreign {
  find(name: string, takes: readonly Argument[]): Call;
  errno(): number;
}

/** @throws UsageError where there is no way to call them */
export async function foreign(): Promise<Foreign> {
  try {
    return byKoffi((await import('koffi')).default);
  } catch (error) {
    const own = process.getBuiltinModule?.('node:ffi' as string) as NodeFfi | undefined;
    if (own !== undefined) return byNode(own);
    const { message } = error as Error;
    throw new UsageError(`terminals need the optional package koffi, or Node 26; koffi cannot be loaded: ${message}`);
  }
}

const KOFFI = { int: 'int', long: 'unsigned long', memory: 'void *', string: 'const char *', strings: 'const char **' };

function byKoffi(koffi: typeof import('koffi')['default']): Foreign {
  const library = koffi.load(null);
  return {
    find(name, takes) {
      const types = takes.map(type => KOFFI[type]);
      const call = library.func(name, 'int', types) as unknown as Call;
      return (...values) => call(...values.map(value => (Array.isArray(value) ? [...value, null] : value)));
    },
    errno: () => koffi.errno(),
  };
}

/** What is needed of node:ffi. */
interface NodeFfi {
  dlopen(
    path: null,
    functions: object,
  ): { lib: { getFunction(name: string, signature: { arguments: string[]; return: string }): Call } };
  getRawPointer(memory: Uint8Array): bigint;
  getInt32(address: bigint, offset: number): number;
}

const NODE = { int: 'i32', long: 'u64', memory: 'buffer', string: 'string', strings: 'buffer' };

function byNode({ dlopen, getRawPointer, getInt32 }: NodeFfi): Foreign {
  const { lib } = dlopen(null, {});
  // What `errno` stands for in C, with glibc and musl alike.
  const place = lib.getFunction('__errno_location', { arguments: [], return: 'pointer' }) as unknown as () => bigint;
  return {
    find(name, takes) {
      const call = lib.getFunction(name, { arguments: takes.map(type => NODE[type]), return: 'i32' });
      return (...values) => {
        /** What lists point to: it has to be there until the function has returned. */
        const kept: Uint8Array[] = [];
        const list = (strings: readonly string[]) => {
          const all = strings.map(string => Buffer.from(`${string}\0`));
          kept.push(...all);
          return BigUint64Array.from([...all.map(getRawPointer), 0n]);
        };
        const given = values.map((value, index) => {
          if (takes[index] === 'strings') return list(value as string[]);
          return takes[index] === 'long' ? BigInt(value as number) : value;
        });
        const result = call(...given);
        kept.length = 0;
        return result;
      };
    },
    errno: () => getInt32(place(), 0),
  };
}
