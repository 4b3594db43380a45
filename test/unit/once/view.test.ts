// `once view`: what goes into the page, and that nothing that was recorded gets out of its place there.
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OnceError } from '../../../src/apps/once/failure.ts';
import { freshKey } from '../../../src/apps/once/life.ts';
import { html, type Page } from '../../../src/apps/once/page.ts';
import { recordingOf } from '../../../src/apps/once/recording.ts';
import { view } from '../../../src/apps/once/view.ts';
import { accelerated } from '../../../src/crypto/accelerated.ts';
import { bounded } from '../../kit/processes.ts';
import { error, type Happened, input, output, record } from '../../kit/recorded.ts';

const SESSION: readonly Happened[] = [
  [0, { kind: 'note', text: 'shell in a terminal' }],
  [0.5, output('$ ')],
  [1, input('ls\r'), output('ls\r\n\x1b[1ma\x1b[0m\r\n')],
  [2, { kind: 'size', columns: 100, rows: 30 }],
  [3, { kind: 'hidden' }],
  [62.25, { kind: 'exit', status: 7 }],
];

for (const name of ['session.cast', 'session.log'])
  test(
    `${name}: what was seen, typed and resized, at its times`,
    bounded(60, async scope => {
      const file = record(scope.directory(), name, SESSION, { before: ['a key is refused'] });
      const { stated, columns, rows, events, moments, status } = recordingOf(file);
      assert.equal([columns, rows, status], [80, 24, 7]);
      assert.equal(events, [
        [0, 'm', 'shell in a terminal'],
        [500, 'o', '$ '],
        [1000, 'i', 'ls\r'],
        // A log has a line for each line of output.
        ...(name === 'session.cast'
          ? [[1000, 'o', 'ls\r\n\x1b[1ma\x1b[0m\r\n']]
          : [
              [1000, 'o', 'ls\r\n'],
              [1000, 'o', '\x1b[1ma\x1b[0m\r\n'],
            ]),
        [2000, 'r', '100x30'],
        [2000, 'm', 'size 100x30'],
        [3000, 'i', '********'],
        [62250, 'm', 'exit 7'],
      ]);
      assert.equal(
        moments.map(({ label }) => label),
        ['shell in a terminal', 'size 100x30', 'exit 7'],
      );
      assert.equal(stated.notes, ['2026-01-02T03:04:05.000Z a key is refused']);
      assert.equal(
        [stated.command, stated.terminal, stated.began],
        ['/bin/bash', '80x24 xterm-256color', '2026-01-02T03:04:05.000Z'],
      );
    }),
  );

test(
  'without a terminal lines begin at the left, and errors are red',
  bounded(60, async scope => {
    const heading = { term: undefined, command: 'make' };
    for (const name of ['session.cast', 'session.log']) {
      const file = record(scope.directory(), name, [[1, output('out\n'), error('err\n')]], { heading });
      const screen = recordingOf(file).events.filter(([, code]) => code === 'o');
      assert.equal(
        screen.map(([, , data]) => data),
        ['out\r\n', '\x1b[31merr\r\n\x1b[39m'],
      );
    }
  }),
);

test(
  'a transcript that was changed by somebody hostile makes no endless screen, no time that runs back, and no endless list',
  bounded(60, async scope => {
    const file = join(scope.directory(), 'hostile.cast');
    const lines = [
      '{"version":3,"term":{"cols":1e9,"rows":-5},"timestamp":"x"}',
      '[5, "r", "65535x1"]',
      ...Array.from({ length: 1100 }, (_, i) => `[0, "m", "${i}"]`),
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    const { columns, rows, events, moments } = recordingOf(file);
    assert.ok(columns <= 1024 && rows <= 1024 && columns >= 1 && rows >= 1, `${columns}x${rows}`);
    const sizes = events.filter(([, code]) => code === 'r').map(([, , size]) => size);
    assert.equal(sizes, ['1024x1']);
    for (const [time] of events) assert.ok(Number.isFinite(time), String(time));
    for (let i = 1; i < events.length; i++) assert.ok(events[i][0] >= events[i - 1][0], `event ${i}`);
    assert.is(moments.length, 1001);
    assert.is(moments.at(-1)?.label, 'further moments are not listed');
  }),
);

test(
  'a recording is shown up to where it makes no sense, and has no more memory than it may',
  bounded(60, async scope => {
    const file = join(scope.directory(), 'hostile.cast');
    const header = '{"version":3,"term":{"cols":80,"rows":24}}';
    const shown = (...lines: string[]) => {
      writeFileSync(file, `${[header, '[1, "o", "before"]', ...lines].join('\n')}\n`);
      return recordingOf(file);
    };
    for (const line of [
      '[-3, "o", "back"]',
      '["x", "o", {"a":1}]',
      '[0, "r", "axb"]',
      '[1e300, "o", "never"]',
      '[1, "o"',
      `[1, "o", ${'['.repeat(100_000)}`,
    ]) {
      const { events, moments, status } = shown(line, '[1, "o", "behind"]');
      assert.equal(
        events.filter(([, code]) => code === 'o').map(([, , data]) => data),
        ['before'],
      );
      assert.match(moments[0].label, /^cannot be read any further: .*: line 3: /);
      assert.is(status, undefined);
    }
    // Comments and notes without end, long labels, and many small events.
    const notes = Array.from({ length: 3000 }, (_, i) => `# note ${i} ${'x'.repeat(5000)}`);
    writeFileSync(file, `${[header, ...notes, '# __proto__ x', '[1, "o", "x"]'].join('\n')}\n`);
    const { stated } = recordingOf(file);
    assert.ok(stated.notes.length <= 1000 && stated.notes.every(note => note.length <= 2000));
    const { moments } = shown(`[0, "m", "${'x'.repeat(3_000_000)}"]`);
    assert.ok(moments[0].label.length <= 2000);
    const { events } = shown('[0, "i", ""]\n'.repeat(1_100_000).trimEnd());
    assert.ok(events.length <= 1_050_000, String(events.length));
  }),
);

const HOSTILE = `</script><script>alert(1)</script><!--<script>"'&\u202e`;

const PAGE: Page = {
  title: HOSTILE,
  verdict: { state: 'changed', text: HOSTILE },
  facts: [[HOSTILE, HOSTILE]],
  moments: [
    { time: HOSTILE, label: HOSTILE },
    { time: HOSTILE, label: HOSTILE, marker: 0 },
  ],
  recording: Buffer.from(HOSTILE),
  player: { script: `const text = "</script><!--";`, style: 'p { color: red }', version: HOSTILE },
  made: HOSTILE,
};

test('whatever is in a recording, the markup stays what it is', () => {
  const calm = '';
  const tags = (page: string) => [...page.matchAll(/<[^>]*>/g)].map(([tag]) => tag.replace(/sha256-[^']*/g, ''));
  const empty = { ...PAGE, title: calm, verdict: { ...PAGE.verdict, text: calm }, facts: [[calm, calm]] as const };
  const harmless = html({
    ...empty,
    moments: PAGE.moments.map(moment => ({ ...moment, time: calm, label: calm })),
    player: { ...PAGE.player, script: 'x', version: calm },
    made: calm,
  });
  assert.equal(tags(html(PAGE)), tags(harmless));
  assert.not.match(html(PAGE), /\u202e|<!--/);
});

test('the policy allows the page its own scripts and style by their hashes, and nothing else', () => {
  const page = html(PAGE);
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)![1];
  const hashes = (text: string) => [...text.matchAll(/'sha256-([^']+)'/g)].map(([, hash]) => hash);
  const contents = (pattern: RegExp) =>
    [...page.matchAll(pattern)].map(([, text]) => createHash('sha256').update(text).digest('base64'));
  const [all, scripts, styles, ...rest] = policy.split('; ');
  assert.is(all, "default-src 'none'");
  assert.equal(hashes(scripts), contents(/<script>(.*?)<\/script>/gs));
  assert.is(hashes(scripts).length, 2);
  assert.equal(hashes(styles), contents(/<style>(.*?)<\/style>/gs));
  assert.not.match(policy, /unsafe-(?:inline|eval)(?<!wasm-unsafe-eval)|https?:|\*/);
  assert.equal(rest, ["base-uri 'none'", "form-action 'none'"]);
});

/** Makes the page, in silence. */
function viewed(file: string, options: Parameters<typeof view>[1] = {}): number {
  const { stdout, stderr } = process;
  const writes = [stdout.write, stderr.write];
  stdout.write = stderr.write = () => true;
  try {
    return view(file, options);
  } finally {
    [stdout.write, stderr.write] = writes;
  }
}

test(
  'the page says what verify says, has the recording in it, and is its owner’s only',
  bounded(60, async scope => {
    const directory = scope.directory();
    const signer = freshKey(accelerated);
    const whole = record(directory, 'whole.cast', SESSION, { signer });
    const anonymous = record(directory, 'anonymous.cast', SESSION);
    const unfinished = record(directory, 'unfinished.cast', SESSION.slice(0, -1), { ends: false });
    const changed = record(directory, 'changed.cast', SESSION);
    writeFileSync(changed, readFileSync(changed, 'utf8').replace('100x30', '100x31'));
    for (const [file, status, verdict, key] of [
      [whole, 0, 'class="whole"><strong>Whole and unchanged<', signer.fingerprint],
      [anonymous, 4, 'class="anonymous"><strong>Whole, but by whom is not known<'],
      [unfinished, 3, 'class="unfinished"><strong>Unchanged, but unfinished<'],
      [changed, 1, 'class="changed"><strong>CHANGED<'],
    ] as const) {
      assert.is(viewed(file, { key }), status, file);
      const page = readFileSync(`${file}.html`, 'utf8');
      assert.ok(page.includes(verdict), file);
      assert.is(statSync(`${file}.html`).mode & 0o777, 0o600);
      const base64 = /id="recording">([A-Za-z0-9+/=]*)</.exec(page)![1];
      const { events } = JSON.parse(gunzipSync(Buffer.from(base64, 'base64')).toString());
      assert.equal(events, recordingOf(file).events);
    }
  }),
);

test(
  'nothing is written over but pages; what cannot be shown is said in a sentence',
  bounded(60, async scope => {
    const directory = scope.directory();
    const file = record(directory, 'a.cast', SESSION);
    const before = readFileSync(file);
    assert.throws(() => viewed(file, { output: file }), /does not end in \.html/);
    assert.equal(readFileSync(file), before);
    // A page is put in the place of what is there, not written through it.
    symlinkSync(file, `${file}.html`);
    assert.is(viewed(file), 4);
    assert.equal(readFileSync(file), before);
    assert.ok(lstatSync(`${file}.html`).isFile());
    const fails = (path: string, options: object, pattern: RegExp) =>
      assert.throws(
        () => viewed(path, options),
        (error: Error) => error instanceof OnceError && pattern.test(error.message),
      );
    fails(join(directory, 'none.cast'), {}, /none\.cast: cannot be read: no such file/);
    fails(file, { output: join(directory, 'nowhere', 'a.html') }, /Could not write .*: no such file/);
    const other = join(directory, 'other');
    writeFileSync(other, 'hello\n');
    fails(other, {}, /this is no transcript/);
    assert.not.ok(existsSync(`${other}.html`));
  }),
);

test.run();
