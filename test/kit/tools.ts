// Programs that tests need from the machine. Missing ones skip a test on a user's machine and fail it in CI.
import { accessSync, constants } from 'node:fs';
import { delimiter, resolve } from 'node:path';

const places = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/sbin'];

/** The path of a program, or undefined if it is not installed. What has a slash in it is a path already. */
export function which(program: string): string | undefined {
  for (const place of program.includes('/') ? ['.'] : places) {
    if (!place) continue;
    const path = resolve(place, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  return undefined;
}

interface Suite {
  (name: string, body: () => void | Promise<void>): void;
  skip(name?: string, body?: () => void | Promise<void>): void;
}

/**
 * `test` if all `programs` are installed. Otherwise, under CI=true a test that fails and names what is missing,
 * and elsewhere a skipped one with a line that says why.
 */
export function needs(test: Suite, ...programs: string[]): (name: string, body: () => void | Promise<void>) => void {
  const missing = programs.filter(program => which(program) === undefined);
  if (missing.length === 0) return test;
  const why = `${missing.join(', ')} not installed`;
  return (name, body) => {
    if (process.env.CI === 'true') {
      test(name, () => {
        throw new Error(`${why}, and CI must have it`);
      });
    } else {
      console.log(`skipped: ${name}: ${why}`);
      test.skip(name, body);
    }
  };
}

/** Runs `body` as a skipped test with its reason printed. */
export function skip(test: Suite, name: string, why: string): void {
  console.log(`skipped: ${name}: ${why}`);
  test.skip(name, () => {});
}
