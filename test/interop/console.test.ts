// The console in a real Chromium: one signs in, sees a circuit come, and kicks and bans; with a mouse, with the keyboard only, and on a phone.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, resolve } from 'node:path';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dial } from '../../src/client/index.ts';
import { type ChannelStream, wrap } from '../../src/server/index.ts';
import { browser, CHROMIUM, watched } from '../kit/browser.ts';
import { echoServer } from '../kit/loopback.ts';
import { bounded, eventually, pause, type Scope, soon } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { keyFile, provide, type Switchboard, ssh, switchboard } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, CHROMIUM, 'ssh', 'ssh-keygen');
const TOKEN = 'a token that only this test knows';
const screenshot = resolve(import.meta.dirname, '../../docs/console.png');

const chromium = shared(test, browser);
const theBoard = shared(test, async scope => {
  const file = resolve(scope.directory(), 'token');
  writeFileSync(file, `${TOKEN}\n`, { mode: 0o600 });
  const audit = resolve(scope.directory(), 'audit');
  const args = ['--console', '127.0.0.1:0', '--console-token-file', file, '--audit', audit];
  const board = await switchboard(scope, { args });
  const [, url] = /^Console: (http:\S+) /m.exec(board.greeting) ?? [];
  return { board, url, audit };
});

/** The console's first page in a window of its own, and what it complains of. */
async function open(scope: Scope, options: BrowserContextOptions = {}) {
  const { board, url, audit } = await theBoard(scope);
  const context = await (await chromium(scope)).newContext({ viewport: { width: 1280, height: 860 }, ...options });
  scope.defer(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const { complaints } = watched(page);
  await page.goto(url);
  return { board, url, audit, context, page, complaints };
}

/** The same, signed in. */
async function signedIn(scope: Scope, options?: BrowserContextOptions) {
  const opened = await open(scope, options);
  await opened.page.fill('#token', TOKEN);
  await opened.page.keyboard.press('Enter');
  await live(opened.page);
  return opened;
}

const live = (page: Page) => page.waitForSelector('#status[data-state="live"]');

/** A line of `provider`, and a circuit of `caller` to it that echoes, both by the stock ssh. */
async function circuit(scope: Scope, board: Switchboard, provider: string, caller: string) {
  const { alias, child: lines } = await provide(scope, board, provider, [`7:localhost:${await echoServer(scope)}`]);
  const began = performance.now();
  const child = ssh(scope, board, caller, ['-W', `${alias}:7`]);
  child.write('x');
  await soon('the echo', child.wrote(1));
  return { alias, child, lines, began };
}

const cordOf = (page: Page, caller: string) => page.locator(`.cord[aria-label^="Cord from ${caller} "]`);

it(
  'a wrong token stays outside; the right one shows a circuit as soon as it is there, and a click ends it',
  bounded(180, async scope => {
    const { board, url, audit, context, page, complaints } = await open(scope);
    assert.is(page.url(), `${url}sign-in`);
    await page.fill('#token', 'not the token at all');
    await page.click('button[type=submit]');
    await page.waitForSelector('#wrong:visible');
    await page.fill('#token', TOKEN);
    await page.click('button[type=submit]');
    await live(page);
    const [cookie] = await context.cookies();
    assert.ok(cookie.httpOnly && cookie.sameSite === 'Strict', JSON.stringify(cookie));

    const { child, alias, began } = await circuit(scope, board, 'harbour', 'amelia');
    await cordOf(page, 'amelia').waitFor();
    console.log(`note: the circuit is shown ${Math.round(performance.now() - began)} ms after ssh was started`);
    // It carries something: the cord says how much, and so does the table.
    child.write('y'.repeat(100_000));
    await page.waitForSelector('.label:not(.quiet)');
    assert.match(
      (await page.locator('#circuit-rows tr').first().textContent()) ?? '',
      new RegExp(`amelia.*${alias}:7`),
    );

    // Its number lies on it.
    const { x, y, width, height } = (await page.locator('.label rect').boundingBox())!;
    await page.mouse.click(x + width / 2, y + height / 2);
    await page.waitForSelector('#detail:visible');
    assert.match((await page.locator('#detail').textContent()) ?? '', /amelia → harbour-.*to the line, at most/);
    await page
      .locator('#detail .end')
      .first()
      .getByRole('button', { name: /^Kick amelia/ })
      .click();
    await page.locator('#ask').getByRole('button', { name: 'Kick' }).click();
    assert.is((await soon('ssh to end', child.ended)).code, 255);
    assert.match(child.stderr, /disconnected by an operator/);
    await cordOf(page, 'amelia').waitFor({ state: 'detached' });
    await page.waitForSelector('#detail', { state: 'hidden' });
    await page.locator('#journal li[data-type="command"]', { hasText: `console kicked amelia` }).waitFor();
    assert.match(readFileSync(audit, 'utf8'), /"event":"command".*"user":"console".*kicked amelia/);
    assert.equal(complaints, []);
  }),
);

it(
  'without a mouse: Tab and arrow keys reach a cord, Enter shows it, Escape goes back, and the caller is kicked',
  bounded(180, async scope => {
    const { board, page, complaints } = await open(scope);
    const { child } = await circuit(scope, board, 'harbour', 'bertha');
    const second = await circuit(scope, board, 'lighthouse', 'claude');
    const third = await circuit(scope, board, 'lighthouse', 'dirk');
    await page.keyboard.type(TOKEN);
    await page.keyboard.press('Enter');
    await live(page);
    await cordOf(page, 'dirk').waitFor();

    const focused = () =>
      page.evaluate('document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent');
    const tabTo = async (what: RegExp) => {
      for (let i = 0; i < 60 && !what.test(String(await focused())); i++) await page.keyboard.press('Tab');
      assert.match(String(await focused()), what);
      const outlined =
        'getComputedStyle(document.activeElement).outlineStyle !== "none" || document.activeElement.matches(".cord:focus-visible")';
      assert.ok(await page.evaluate(outlined), `${what} shows that it has the focus`);
    };
    await tabTo(/^Cord from /);
    const first = String(await focused());
    await page.keyboard.press('ArrowDown');
    assert.is.not(String(await focused()), first);
    for (let i = 0; i < 4 && !/^Cord from bertha/.test(String(await focused())); i++)
      await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#detail:visible');
    await page.keyboard.press('Escape');
    await page.waitForSelector('#detail', { state: 'hidden' });
    assert.match(String(await focused()), /^Cord from bertha/, 'the focus is where it was');
    await page.keyboard.press(' ');
    await page.waitForSelector('#detail:visible');
    await tabTo(/^Kick bertha/);
    await page.keyboard.press('Enter');
    await page.waitForSelector('#ask[open]');
    // The first thing in a dialog is not the one that cannot be undone.
    assert.is(await focused(), 'Cancel');
    await tabTo(/^Kick$/);
    await page.keyboard.press('Enter');
    assert.is((await soon('ssh to end', child.ended)).code, 255);
    await cordOf(page, 'bertha').waitFor({ state: 'detached' });
    assert.is(second.child.over, false, 'the other circuits go on');
    await tabTo(/^Show dirk/);
    second.child.endInput();
    await cordOf(page, 'claude').waitFor({ state: 'detached' });
    assert.match(String(await focused()), /^Show dirk/, 'a row that goes leaves the focus where it is');
    assert.is(third.child.over, false);
    assert.equal(complaints, []);
  }),
);

it(
  'on a phone: nothing is wider than the window, and a ban keeps a key out until it is lifted',
  bounded(180, async scope => {
    const options = {
      viewport: { width: 390, height: 844 },
      hasTouch: true,
      isMobile: true,
      colorScheme: 'dark',
    } as const;
    const { board, page, complaints } = await signedIn(scope, options);
    const { alias, child, lines } = await circuit(scope, board, 'harbour', 'dorothea');
    await page.getByRole('button', { name: `Show dorothea to ${alias}:7` }).tap();
    await page.waitForSelector('#detail:visible');
    assert.ok(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), 'nothing to scroll sideways');
    const small = await page.evaluate(
      '[...document.querySelectorAll("button")].filter(it => it.offsetParent && it.offsetHeight < 36).map(it => it.textContent)',
    );
    assert.equal(small, [], 'all buttons are large enough for a finger');
    await page
      .locator('#detail')
      .getByRole('button', { name: /^Ban dorothea/ })
      .tap();
    await page.selectOption('#ban-time', '86400');
    await page.fill('#ban-reason', 'too <b>loud</b>');
    await page.locator('#ask').getByRole('button', { name: 'Ban' }).tap();
    assert.is((await soon('ssh to end', child.ended)).code, 255);
    const again = await ssh(scope, board, 'dorothea', ['-W', `${alias}:7`], { input: '' }).ended;
    assert.match(again.stderr, /Permission denied/);
    assert.is(lines.over, false);
    await page.locator('#ban-rows', { hasText: 'too <b>loud</b>' }).waitFor();
    await page.getByRole('button', { name: /^Let SHA256:\S+ in again$/ }).tap();
    await page.locator('#ask').getByRole('button', { name: 'Let in' }).tap();
    await page.locator('#no-bans').waitFor();
    const back = await ssh(scope, board, 'dorothea', ['-W', `${alias}:7`], { input: 'hello' }).ended;
    assert.is(back.stdout.toString(), 'hello', back.stderr);
    assert.equal(complaints, []);
  }),
);

it(
  'a session that ends takes its pages with it, and names of strangers stay text',
  bounded(180, async scope => {
    const { board, url, context, page, complaints } = await signedIn(scope);
    const user = '<img src=x onerror=alert(1)>';
    await join(scope, board, user, undefined, 'emil');
    await page.locator('#client-rows strong', { hasText: user }).waitFor();
    await page.locator('#board title', { hasText: user }).first().waitFor({ state: 'attached' });
    assert.is(await page.locator('img[src="x"]').count(), 0);
    assert.equal(complaints, []);
    const other = await context.newPage();
    await other.goto(url);
    await other.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(`${url}sign-in`);
    assert.is((await context.cookies()).length, 0);
  }),
);

it(
  'several callers and lines: what docs/console.png shows',
  bounded(180, async scope => {
    const { board, page, complaints } = await signedIn(scope, { colorScheme: 'dark' });
    const lines = new Map<string, string>();
    for (const [i, [name, ports]] of Object.entries(PROVIDERS).entries()) {
      const { client, alias } = await join(scope, board, name, `127.0.3.${i + 1}`);
      lines.set(name, alias());
      for (const port of ports) await client.listen('', port, ({ stream }) => carry(scope, stream, DOWN[port]));
    }
    for (const [i, [name, targets]] of Object.entries(CALLERS).entries()) {
      const { client } = await join(scope, board, name, `127.0.1.${i + 1}`);
      for (const [provider, port] of targets) {
        carry(scope, await client.forward(lines.get(provider)!, port), UP[port]);
      }
    }
    const cords = Object.values(CALLERS).flat().length;
    await eventually('all cords', async () => (await page.locator('.cord').count()) === cords);
    await page.locator('.label:not(.quiet)').nth(5).waitFor();
    // The picture of a whole minute is only worth waiting for if it is kept.
    if (process.env.UPDATE) await pause(60_000);
    const picture = await page.screenshot();
    if (process.env.UPDATE) {
      mkdirSync(dirname(screenshot), { recursive: true });
      writeFileSync(screenshot, picture);
    }
    assert.ok(existsSync(screenshot), 'UPDATE=1 takes it');
    const size = (png: Buffer) => [png.readUInt32BE(16), png.readUInt32BE(20)];
    assert.equal(size(readFileSync(screenshot)), size(picture), 'the picture in docs is one of this page');
    assert.equal(complaints, []);
  }),
);

const PROVIDERS: Readonly<Record<string, readonly number[]>> = {
  homeserver: [22, 443, 8123],
  grafana: [3000],
  printer: [631],
};
const CALLERS: Readonly<Record<string, readonly (readonly [string, number])[]>> = {
  alice: [
    ['homeserver', 22],
    ['grafana', 3000],
  ],
  bob: [
    ['homeserver', 443],
    ['grafana', 3000],
  ],
  'ci-runner': [['homeserver', 443]],
  carol: [['printer', 631]],
  dave: [],
};
/** Bytes a second that lines on these ports say, and what those who call them say. */
const DOWN: Readonly<Record<number, number>> = { 22: 9_001, 443: 1_504_321, 8123: 0, 3000: 61_234, 631: 345 };
const UP: Readonly<Record<number, number>> = { 22: 910, 443: 40_123, 3000: 4_021, 631: 250_555 };

/** Writes so much a second, more at one time and less at another, and reads whatever comes. */
function carry(scope: Scope, stream: ChannelStream, rate: number): void {
  const chunk = new Uint8Array(rate / 5);
  const [period, phase] = [2000 + (rate % 1300) * 3, rate % 97];
  const timer = setInterval(() => {
    const part = 0.5 + 0.35 * Math.sin(Date.now() / period + phase) + 0.15 * Math.sin(Date.now() / 700);
    void stream.write(chunk.slice(0, Math.round(chunk.length * part))).catch(() => clearInterval(timer));
  }, 200);
  scope.defer(() => clearInterval(timer));
  void (async () => {
    for await (const _ of stream);
  })().catch(() => {});
}

/** A client of ours, from a loopback address of its own. */
async function join(scope: Scope, { host, port }: Switchboard, user: string, localAddress = '127.0.0.1', key = user) {
  const socket = connect({ host, port, localAddress, allowHalfOpen: true, noDelay: true });
  await soon(
    'to be connected',
    new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject)),
  );
  let banner = '';
  const client = await dial({
    user,
    socket: wrap(socket),
    keys: [readFileSync(keyFile(key), 'utf8')],
    hostKey: () => true,
    banner: text => (banner += text),
  });
  scope.defer(() => client.close());
  return { client, alias: () => /reached as (\S+):/.exec(banner)![1] };
}

test.run();
