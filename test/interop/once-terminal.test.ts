// What people do in a terminal, through `otssh` and through the real sshd with the same stock ssh: both must come to the same.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { door, recorded } from '../kit/once.ts';
import { bounded, pause, type Scope, soon } from '../kit/processes.ts';
import { sshConfig, sshd, type Target } from '../kit/ssh.ts';
import { type Screen, terminal } from '../kit/terminal.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'sshd', 'bash', 'vi', 'less', 'top');

/** What a scene comes to, with which the other is compared. */
type Scene = (screen: Screen, directory: string) => Promise<unknown>;

/** Plays a scene in a terminal in which ssh is signed in, and a plain bash runs. */
async function play(scope: Scope, target: Target, user: string, scene: Scene): Promise<unknown> {
  const directory = scope.directory();
  const config = sshConfig(scope, target, user, { key: 'alice' });
  const where = ['-F', config, '-p', String(target.port), '-tt', `${user}@${target.host}`];
  const screen = await terminal(scope, 'ssh', where);
  await screen.type(`cd ${directory}; exec env PS1='ok''> ' LC_ALL=C bash --norc --noprofile\n`);
  await screen.shows(/^(?:\x1b\[\S*)?ok> /m);
  const result = await scene(screen, directory);
  screen.clear();
  await screen.type('exit 3\n');
  assert.equal(await soon('ssh to end', screen.ended, 60), { status: 3 });
  return result;
}

/** A test that plays the scene twice. @returns by `check` the transcript is looked at */
function scene(name: string, body: Scene, check: (log: string) => void = () => {}): void {
  it(
    name,
    bounded(180, async scope => {
      const real = await sshd(scope, [{ owner: 'alice' }]);
      const ours = await door(scope, { env: { SHELL: '/bin/bash' } });
      const [here, there] = await Promise.all([play(scope, ours, 'alice', body), play(scope, real, real.user, body)]);
      assert.equal(here, there);
      await soon('otssh', ours.child.ended, 60);
      check(recorded(ours.log));
    }),
  );
}

/** Runs a command that ends by itself, with the status of the one before, and gives what it shows. */
async function said(screen: Screen, command: string): Promise<string> {
  screen.clear();
  // What is typed is seen once or twice: by the terminal, and by the shell if it was not ready yet.
  await screen.type(`was=$?; echo be""gin; (exit $was); ${command}; echo do""ne\n`);
  return (await screen.shows(/begin\r\n([\s\S]*?)done\r\n/))[1];
}

/** Types a key until it has an effect. */
async function insist(screen: Screen, key: string, pattern: RegExp): Promise<void> {
  let over = false;
  const seen = screen.shows(pattern).finally(() => (over = true));
  while (!over) {
    await screen.type(key);
    await Promise.race([pause(500), seen]);
  }
  await seen;
}

scene('a terminal has the size, the modes and the kind of the one in front of ssh', async screen => [
  await said(screen, 'stty size'),
  await said(screen, 'stty -a'),
  await said(screen, 'echo $TERM'),
  // Numbers of processes are padded, the shorter the more.
  await said(screen, "ps -o tpgid= -o pgid= -o stat= $$ | tr -s '0-9 ' ' '"),
]);

scene(
  'its size follows, and programs hear of it; 9: all of it is in the transcript, in order',
  async screen => {
    const script = `trap 'echo "now $(stty size)"' WINCH; echo rea""dy; while :; do sleep 0.1; done`;
    await screen.type(`sh -c '${script.replaceAll("'", `'"'"'`)}'\n`);
    await screen.shows(/ready\r\n/);
    screen.resize(101, 37);
    await screen.shows(/now 37 101\r\n/);
    screen.resize(64, 12);
    await screen.shows(/now 12 64\r\n/);
    await screen.type('\x03');
    await screen.shows(/\^C[\s\S]*ok> /);
    return said(screen, 'tput -T xterm cols lines');
  },
  log => {
    const order = [
      / size 80x24\n|^/,
      / size 101x37\n/,
      / out [^\n]*now 37 101/,
      / size 64x12\n/,
      / out [^\n]*now 12 64/,
    ];
    let at = 0;
    for (const each of order) {
      const found = each.exec(log.slice(at));
      assert.ok(found, `${each} in order`);
      at += found.index;
    }
    // Each key as it was typed.
    assert.match(log, / in sh -c 'trap /);
    const times = [...log.matchAll(/^(\d+\.\d+) /gm)].map(([, time]) => Number(time));
    assert.equal(
      times,
      times.toSorted((a, b) => a - b),
    );
  },
);

scene('Ctrl-C, Ctrl-Z, jobs, fg, Ctrl-\\', async screen => {
  const shows: string[] = [];
  // Keys that come before the program does are for the shell.
  await screen.type(`sh -c 'echo g""o; exec sleep 1000'\n`);
  await screen.shows(/^go\r\n/m);
  await screen.type('\x1a');
  shows.push((await screen.shows(/\[1\]\+ +Stopped +sh -c [^\r]*/))[0]);
  shows.push(await said(screen, 'jobs'));
  screen.clear();
  await screen.type('fg\n');
  await screen.shows(/fg\r\n[\s\S]*sleep 1000'\r\n/);
  // A key that comes before the job has the terminal back is for the shell.
  await insist(screen, '\x03', /\^C[\s\S]*ok> $/);
  shows.push(await said(screen, 'echo "status $?"'));
  await screen.type('echo no""w; cat\n');
  await screen.shows(/^now\r\n/m);
  await screen.type('to be thrown away\x15kept\n');
  shows.push((await screen.shows(/kept\r\nkept\r\n/))[0]);
  await screen.type('\x1c');
  shows.push((await screen.shows(/\^\\Quit[^\r]*\r/))[0]);
  screen.clear();
  await screen.type('echo th""en; cat\n');
  await screen.shows(/^then\r\n/m);
  await screen.type('\x04');
  shows.push(await said(screen, 'echo "status $?"'));
  return shows;
});

scene('vi: a file is written, the screen is drawn at its size', async (screen, directory) => {
  const file = join(directory, 'file');
  screen.clear();
  await screen.type(`vi -N -i NONE -u NONE ${file}\n`);
  await screen.shows(/~[\s\S]*~/);
  await screen.type('ione\rtwo\x1b');
  await screen.type(':set number\r');
  await screen.shows(/2 /);
  screen.resize(90, 30);
  // Its last line but one, which there was none of before.
  await screen.shows(/\x1b\[29;1H/);
  await screen.type('Gothree\x1b:wq\r');
  await screen.shows(/ok> /);
  return readFileSync(file, 'utf8');
});

scene('less: pages, a search, the end', async (screen, directory) => {
  const file = join(directory, 'file');
  writeFileSync(file, Array.from({ length: 300 }, (_, i) => `line ${i + 1} of many\n`).join(''));
  screen.clear();
  await screen.type(`less ${file}\n`);
  await screen.shows(/line 23 of many/);
  await screen.type(' ');
  await screen.shows(/line 46 of many/);
  await screen.type('/line 250\r');
  await screen.shows(/line 250 of many|250/);
  await screen.type('G');
  await screen.shows(/line 300 of many/);
  await screen.type('q');
  await screen.shows(/ok> /);
  return said(screen, 'stty -a');
});

scene('top: is redrawn when the window becomes larger, and leaves the terminal as it was', async screen => {
  screen.clear();
  await screen.type('top -d 0.3\n');
  await screen.shows(/PID[\s\S]*COMMAND/);
  screen.clear();
  screen.resize(120, 40);
  // The last row, which there was none of before.
  await screen.shows(/PID[\s\S]*COMMAND/);
  await screen.type('q');
  await screen.shows(/ok> /);
  return [await said(screen, 'stty size'), await said(screen, 'stty -a')];
});

test.run();
