// What all tests of a file use together, because it takes longer to start than they take: a switchboard, an sshd.
import { Scope } from './processes.ts';

/**
 * Something that is started when a test first asks for it, and ended after the last one: `const board = shared(test, switchboard)`.
 * A test that fails quotes its programs, too.
 */
export function shared<T>(
  test: { after(body: () => Promise<void>): void },
  start: (scope: Scope) => Promise<T>,
): (scope: Scope) => Promise<T> {
  const whole = new Scope();
  let started: Promise<T> | undefined;
  test.after(async () => {
    // What it said after the last test, too.
    await whole.end();
    whole.checkLogs();
  });
  return async scope => {
    const thing = await (started ??= start(whole));
    scope.children.unshift(...whole.children);
    return thing;
  };
}
