// The page of `once view` in a real Chromium: it plays, seeks and resizes, asks the network for nothing, and what is recorded stays text.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { freshKey } from '../../src/apps/once/life.ts';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { browser, CHROMIUM, watched } from '../kit/browser.ts';
import { otssh } from '../kit/once.ts';
import { bounded, eventually, type Scope, soon } from '../kit/processes.ts';
import { error, type Happened, input, output, type Recorded, record } from '../kit/recorded.ts';
import { shared } from '../kit/shared.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, CHROMIUM);
const chromium = shared(test, browser);
const screenshot = join(import.meta.dirname, '..', '..', 'docs', 'once-player.png');

/** A page that is open, and what it has done so far. */
interface Opened {
  readonly page: Page;
  readonly complaints: string[];
  readonly requests: string[];
  /** The text on the screen. */
  screen(): Promise<string>;
}

/** Makes a page with the command, takes it away from the transcript, and opens it. */
async function opened(scope: Scope, name: string, session: readonly Happened[], recorded?: Recorded): Promise<Opened> {
  const directory = scope.directory();
  const signer = freshKey(accelerated);
  const file = record(directory, name, session, { ...recorded, signer });
  const made = await soon('the page', otssh(scope, ['view', `-key=${signer.fingerprint}`, file]).ended);
  assert.is(made.stdout.toString(), `${file}.html\n`, made.stderr);
  rmSync(file);
  return open(scope, await chromium(scope), `${file}.html`);
}

async function open(scope: Scope, running: Browser, file: string): Promise<Opened> {
  const context = await running.newContext({ viewport: { width: 900, height: 900 }, colorScheme: 'light' });
  scope.defer(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const seen = watched(page);
  await page.goto(pathToFileURL(file).href);
  await page.waitForSelector('.ap-term-text');
  const screen = async () => (await page.locator('.ap-term-text').innerText()).replaceAll(/ +$/gm, '');
  return { page, ...seen, screen };
}

/** When the screen looks like this. */
async function shows({ screen }: Opened, pattern: RegExp): Promise<void> {
  await eventually(`${pattern} on the screen`, async () => pattern.test(await screen())).catch(async (late: Error) => {
    throw new Error(`${late.message}; there is:\n${await screen()}`);
  });
}

const PROMPT = '\x1b[1;32mroot@3f1c\x1b[0m:\x1b[1;34m/srv\x1b[0m# ';
const CHECKS =
  '\x1b[32m✔\x1b[0m database   \x1b[2m12 ms\x1b[0m\r\n\x1b[32m✔\x1b[0m queue       \x1b[2m3 ms\x1b[0m\r\n' +
  '\x1b[31m✘\x1b[0m disk      \x1b[1;31m97 % full\x1b[0m\r\n';

const SESSION: readonly Happened[] = [
  [0, { kind: 'note', text: 'shell in a terminal of type xterm-256color: /bin/bash' }],
  [0.2, output(PROMPT)],
  [0.6, input('./check\r'), output('./check\r\n')],
  [0.9, output(CHECKS), output(PROMPT)],
  [1.2, { kind: 'size', columns: 72, rows: 16 }],
  [1.3, input('passwd\r'), output('passwd\r\nNew password: ')],
  [1.5, { kind: 'hidden' }, input('\r')],
  [1.6, output('\r\npasswd: password updated successfully\r\n'), output(PROMPT)],
  [1.8, input('exit\r'), output('exit\r\nlogout\r\n')],
  [1.9, { kind: 'exit', status: 0 }],
];

it(
  'it plays to the end, seeks to each moment, takes the sizes of the terminal, and loads nothing',
  bounded(180, async scope => {
    const before = ['the key is accepted by line 1; ops from 192.0.2.7 port 50112'];
    const shown = await opened(scope, 'session.cast', SESSION, { before });
    const { page, complaints, requests, screen } = shown;
    assert.match(
      await page.locator('#verdict.whole').innerText(),
      /^Whole and unchanged\n.*whole: \d+ lines with \d+ seals, signed/,
    );
    const facts = await page.locator('dl').innerText();
    assert.match(
      facts,
      /Ran\s+\/bin\/bash\s+Began\s+2026-01-02T03:04:05\.000Z\s+Lasted\s+00:01\.9\s+Ended\s+with status 0/,
    );
    assert.match(await page.locator('li').first().innerText(), /^before 2026-01-02T\S+ the key is accepted by line 1/);

    await page.evaluate(`player.addEventListener('ended', () => document.body.classList.add('ended'))`);
    await page.locator('.ap-player').hover();
    await page.locator('.ap-playback-button').click();
    await page.waitForSelector('body.ended');
    await shows(shown, /logout/);
    assert.match(await screen(), /disk\s+97 % full/);

    // Back to the first size, and on to the second.
    const columns = `document.querySelector('.ap-term').style.getPropertyValue('--term-cols')`;
    await page.getByRole('button', { name: '00:00.0' }).click();
    await shows(shown, /^\s*$/);
    await eventually('80 columns', async () => (await page.evaluate(columns)) === '80');
    await page.locator('li', { hasText: 'size 72x16' }).getByRole('button').click();
    await shows(shown, /97 % full/);
    assert.not.match(await screen(), /passwd/);
    await eventually('72 columns', async () => (await page.evaluate(columns)) === '72');
    await page.locator('li', { hasText: 'exit 0' }).getByRole('button').click();
    await shows(shown, /logout/);

    await page.getByLabel('skip pauses').check();
    await page.waitForSelector('.ap-term-text');
    assert.equal(complaints, []);
    assert.is(requests.length, 1, requests.join('\n'));
    assert.match(requests[0], /^file:.*session\.cast\.html$/);
  }),
);

it(
  'its picture is the one in the docs',
  bounded(180, async scope => {
    const shown = await opened(scope, 'session.cast', SESSION, {
      before: ['the key is accepted by line 1; ops from 192.0.2.7 port 50112'],
    });
    const { page } = shown;
    await page.locator('li', { hasText: 'exit 0' }).getByRole('button').click();
    await shows(shown, /logout/);
    // Names of files and keys differ each time.
    await page.evaluate(`for (const node of document.getElementById('verdict').childNodes)
      if (node.nodeType === Node.TEXT_NODE) node.nodeValue = node.nodeValue.replace(/\\/\\S+\\/(?=session)/, '')`);
    await page.mouse.move(0, 0);
    const picture = await page.screenshot({ fullPage: true });
    if (process.env.UPDATE) writeFileSync(screenshot, picture);
    assert.ok(existsSync(screenshot), 'UPDATE=1 makes it');
    // The size of a PNG is in its first chunk. Fonts differ from machine to machine, so the picture itself may.
    const width = (png: Buffer) => png.readUInt32BE(16);
    assert.is(width(readFileSync(screenshot)), width(picture));
    assert.ok(picture.length > 20_000, 'there is something in it');
  }),
);

const ATTACK = `</script><img src=x onerror="globalThis.hit=1"><script>globalThis.hit=2</script><!--<script>'"&`;

it(
  'what a hostile session wrote, was asked for or is called stays text',
  bounded(180, async scope => {
    const session: readonly Happened[] = [
      [0, { kind: 'note', text: ATTACK }],
      [0.1, output(`${ATTACK}\r\n\x1b]0;${ATTACK}\x07\x1b]8;;javascript:globalThis.hit=3\x07link\x1b]8;;\x07\r\n`)],
      [0.2, input(ATTACK), { kind: 'size', columns: 60_000, rows: 60_000 }],
      [0.3, output('\xff\x00\x1b[999999999;999999999H\x1b[2J\x1b[Hlast words')],
    ];
    const heading = { command: ATTACK, term: ATTACK };
    const shown = await opened(scope, `<img src=x onerror=hit=4>.cast`, session, { heading, before: [ATTACK] });
    const { page, complaints, requests } = shown;
    assert.is(await page.title(), '<img src=x onerror=hit=4>.cast');
    await page.locator('li', { hasText: 'the transcript has no more' }).getByRole('button').click();
    await shows(shown, /last words/);
    assert.ok((await page.locator('dl').innerText()).includes(ATTACK));
    assert.is(await page.locator('li', { hasText: ATTACK }).count(), 2);
    assert.is(await page.locator('img, iframe, a[href^="javascript:"], #player script').count(), 0);
    assert.is(await page.evaluate('globalThis.hit'), undefined);
    assert.equal(complaints, []);
    assert.is(requests.length, 1, requests.join('\n'));
  }),
);

it(
  'the policy holds: a script that gets into the page does not run, and nothing gets out',
  bounded(180, async scope => {
    const directory = scope.directory();
    const file = record(directory, 'session.cast', SESSION);
    await otssh(scope, ['view', file]).ended;
    const page = readFileSync(`${file}.html`, 'utf8');
    const evil = '<script>globalThis.hit=1</script><img src="http://127.0.0.1:9/" onerror="globalThis.hit=2">';
    writeFileSync(`${file}.html`, page.replace('<div id="player">', `${evil}$&`));
    const shown = await open(scope, await chromium(scope), `${file}.html`);
    assert.is(await shown.page.evaluate('globalThis.hit'), undefined);
    assert.ok(shown.complaints.length >= 2, shown.complaints.join('\n'));
    for (const complaint of shown.complaints) assert.match(complaint, /Content Security Policy/);
  }),
);

it(
  'the readable log plays as well: here of a command without a terminal, whose session was cut short',
  bounded(180, async scope => {
    const session: readonly Happened[] = [
      [0, output('one\ntwo\n')],
      [0.3, error('three\n')],
    ];
    const recorded: Recorded = { heading: { term: undefined, command: 'make' }, ends: false };
    const shown = await opened(scope, 'session.log', session, recorded);
    const { page } = shown;
    assert.match(await page.locator('#verdict.unfinished').innerText(), /^Unchanged, but unfinished\n/);
    assert.match(await page.locator('dl').innerText(), /Ended\s+not in this transcript/);
    await page.locator('li', { hasText: 'the transcript has no more' }).getByRole('button').click();
    await shows(shown, /^one\s+two\s+three\s*$/);
    assert.match(await shown.screen(), /^one\ntwo\nthree\n/);
    assert.equal(shown.complaints, []);
  }),
);

test.run();
