// What a test file's output says of its failures: uvu's own words, without colours, cut to what fits between the lines of a whole run.

/** A test that failed, or the end of a file that failed otherwise. */
export interface Failure {
  /** Its name; without one, the file itself died. */
  readonly name: string | undefined;
  /** The first lines of the error, and where in the tests it happened. */
  readonly lines: readonly string[];
}

/** Lines of one error that are shown; a test that started programs quotes them, which may be thousands. */
export const SHOWN = 15;

const HEAD = /^ {3}FAIL {2}(?:(.*?) {2})?"(.*)"$/;

/** The failures that `output` tells of, in their order. */
export function failuresIn(output: string): Failure[] {
  const plain = output
    .replace(/\x1b\[[0-9;]*m/g, '')
    .replace(/^ {2}Total: {5}\d+\n {2}Passed:.*\n {2}Skipped:.*\n {2}Duration:.*$/gm, '');
  const lines = plain.split('\n');
  const heads = lines.flatMap((line, at) => (HEAD.test(line) ? [at] : []));
  if (heads.length === 0) return [{ name: undefined, lines: lines.filter(line => line.trim()).slice(-SHOWN) }];
  return heads.map((head, i) => {
    const [, suite, name] = HEAD.exec(lines[head])!;
    const error = lines.slice(head + 1, heads[i + 1]).filter(line => line.trim());
    const where = error.findIndex((line, at) => at >= SHOWN && /^\s+at .*\.test\.ts:\d+/.test(line));
    return {
      name: suite ? `${suite}: ${name}` : name,
      lines: where < 0 ? error.slice(0, SHOWN) : [...error.slice(0, SHOWN), '    …', error[where]],
    };
  });
}
