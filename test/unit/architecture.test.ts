// Who may import whom: the table in DESIGN.md, rule by rule, over every file in src; and a proof that each rule can be broken. And that no promise is lost.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { check, parts, type Sources } from '../kit/architecture.ts';
import { unhandled } from '../kit/promises.ts';
import { importsOf } from '../kit/source.ts';

const root = join(import.meta.dirname, '../..');
const sources: Sources = new Map(
  readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .map(name => `src/${name.replaceAll('\\', '/')}`)
    .filter(name => name.endsWith('.ts'))
    .sort()
    .map(name => [name, readFileSync(join(root, name), 'utf8')]),
);

test('src keeps to the table in DESIGN.md', () => {
  assert.ok(sources.size > 50, 'all files are seen');
  const found = check(sources);
  assert.is(found.length, 0, `\n${found.join('\n')}`);
});

test('every part has files: the rules are about something', () => {
  for (const { name, has } of parts) assert.ok([...sources.keys()].some(has), name);
});

test('every promise of src is waited for, returned, or caught: one that fails unheard ends the process', () => {
  const lost = unhandled(root, 'src');
  assert.is(lost.length, 0, `\n${lost.join('\n')}`);
});

/** src with one file added or changed. */
const withFile = (path: string, text: string): Sources => new Map([...sources, [path, text]]);
const known = new Set(check(sources));

/** A file that breaks a rule in its third line. */
const bad: [string, string][] = [
  ['src/protocol/wire/bad.ts', "import { Transport } from '../transport/transport.ts';"],
  ['src/protocol/wire/bad.ts', "import type { Random } from '../../crypto/provider.ts';"],
  ['src/protocol/wire/bad.ts', "import { sha256 } from '@noble/hashes/sha2.js';"],
  ['src/protocol/bad.ts', "import { noble } from '../crypto/noble.ts';"],
  ['src/protocol/bad.ts', "import type { noble } from '../crypto/noble.ts';"],
  ['src/protocol/bad.ts', "export * from '../server/drive.ts';"],
  ['src/protocol/bad.ts', "import { type Opener, other } from '../crypto/provider.ts';"],
  ['src/protocol/bad.ts', "import * as all from '../crypto/provider.ts';"],
  ['src/protocol/bad.ts', "import 'node:crypto';"],
  ['src/protocol/bad.ts', "const net = await import('node:net');"],
  ['src/protocol/bad.ts', "const name = '../server/drive.ts'; const drive = await import(name);"],
  ['src/protocol/bad.ts', "const { connect } = require('node:net');"],
  ['src/protocol/bad.ts', 'const now = Date.now();'],
  ['src/protocol/bad.ts', `const at = \`\${new Date()}\`;`],
  ['src/protocol/bad.ts', 'const chance = Math.random();'],
  ['src/protocol/bad.ts', 'setTimeout(() => {}, 1);'],
  ['src/protocol/bad.ts', 'const timers = { later: queueMicrotask };'],
  ['src/protocol/bad.ts', "const { env } = process; const text = '';"],
  ['src/protocol/bad.ts', 'const bytes = globalThis.crypto;'],
  ['src/protocol/bad.ts', 'const bytes = Buffer.alloc(1);'],
  ['src/protocol/bad.ts', "console.log('here');"],
  ['src/crypto/bad.ts', "import { Transport } from '../protocol/transport/transport.ts';"],
  ['src/crypto/bad.ts', "import type { Channel } from '../protocol/channels/channel.ts';"],
  ['src/crypto/bad.ts', "import { createHash } from 'node:crypto';"],
  ['src/crypto/node/bad.ts', "import { readFileSync } from 'node:fs';"],
  ['src/crypto/bad.ts', "import { x } from '@noble/not-declared/x.js';"],
  ['src/crypto/bad.ts', "import pino from 'pino';"],
  ['src/crypto/bad.ts', "const bytes = Buffer.from('');"],
  ['src/server/bad.ts', "import { createServer } from 'node:net';"],
  ['src/server/bad.ts', "import { dial } from '../client/dial.ts';"],
  ['src/server/bad.ts', "import { Switchboard } from '../apps/switchboard/app.ts';"],
  ['src/server/bad.ts', 'const bytes = Buffer.alloc(1);'],
  ['src/client/bad.ts', "import { Server } from '../server/server.ts';"],
  ['src/client/bad.ts', "import { Switchboard } from '../apps/switchboard/app.ts';"],
  ['src/client/bad.ts', "import net from 'node:net';"],
  ['src/apps/other/bad.ts', "import { Switchboard } from '../switchboard/app.ts';"],
  ['src/apps/switchboard/bad.ts', "import { IdentReader } from '../../protocol/transport/ident.ts';"],
  ['src/apps/switchboard/bad.ts', "import { x } from 'left-pad';"],
  ['src/index.ts', "export { Switchboard } from './apps/switchboard/app.ts';"],
  ['src/other/bad.ts', ''],
  ['src/protocol/bad.ts', "import { x } from './not-there.ts';"],
  ['src/protocol/wire/packet.ts', "import { Reader } from './reader.ts';"],
  ['src/protocol/wire/packet.ts', "import type { Message } from '../messages.ts';"],
  [
    'src/protocol/transport/keys.ts',
    "import type { Channel } from '../channels/channel.ts'; import type { X } from '../connection.ts';",
  ],
];

for (const [path, text] of bad) {
  test(`the check can fail: ${path} with ${text || 'nothing'}`, () => {
    const found = check(withFile(path, `// A comment.\n\n${text}\n`)).filter(line => !known.has(line));
    assert.ok(found.length > 0, 'nothing was found');
    const line = path === 'src/other/bad.ts' ? 1 : 3;
    assert.ok(
      found.some(text => text.startsWith(`${path}:${line}: `) || text.startsWith('src/protocol/transport:')),
      `file and line: ${found.join('\n')}`,
    );
  });
}

test('two folders of the protocol that know each other are found', () => {
  const found = check(
    withFile('src/protocol/transport/bad.ts', "import type { Credential } from '../userauth/client.ts';"),
  );
  assert.ok(
    found.some(text => /^src\/protocol\/transport:1: src\/protocol\/userauth leads back/.test(text)),
    found.join('\n'),
  );
});

const good: [string, string][] = [
  ['src/protocol/good.ts', '// import { noble } from "../crypto/noble.ts"; Date.now()'],
  ['src/protocol/good.ts', "/* setTimeout */ const text = 'Date.now() and process.env'; const more = `Math.random()`;"],
  ['src/protocol/good.ts', 'const pattern = /[\'"`]Date\\/process[/]globalThis/g; const half = 4 / 2;'],
  ['src/protocol/good.ts', 'const x = { process: 1, Date: 2 }; const y = x.process + x.Date;'],
  ['src/protocol/good.ts', "import { byName, type CryptoProvider } from '../crypto/provider.ts';"],
  ['src/protocol/good.ts', "import type { CryptoProvider } from '../crypto/provider.ts';"],
  ['src/protocol/good.ts', 'const utf8 = new TextDecoder(); const all = new Map([[1, new Uint8Array(2)]]);'],
  [
    'src/crypto/good.ts',
    "import { Packet } from '../protocol/wire/packet.ts'; import { sha256 } from '@noble/hashes/sha2.js';",
  ],
  ['src/crypto/node/good.ts', "import { createHash } from 'node:crypto'; const bytes = Buffer.alloc(1);"],
  ['src/server/runtime/good.ts', "import { createServer } from 'node:net'; const bytes = Buffer.alloc(1);"],
  ['src/client/good.ts', "import { ChannelStream } from '../server/streams.ts';"],
  [
    'src/apps/other/good.ts',
    "import { Server } from '../../server/server.ts'; import { pack } from '../../protocol/wire/codec.ts';",
  ],
  [
    'src/protocol/wire/good.ts',
    `const text = \`a\${\`b\${1}'\`}c\`; const quote = "'"; import type { Packet } from './packet.ts';`,
  ],
];

for (const [path, text] of good) {
  test(`what is right is not reported: ${path} with ${text}`, () => {
    const found = check(withFile(path, text)).filter(line => !known.has(line));
    assert.equal(found, []);
  });
}

test('imports are read as they stand', () => {
  const source = [
    "import a, { b, type C } from './one.ts';",
    'import {',
    '  d as e,',
    '  type F,',
    "} from './two.ts';",
    "import type { G } from './three.ts';",
    "import * as h from './four.ts';",
    "import './five.ts';",
    "export * from './six.ts';",
    "export { i, type J } from './seven.ts';",
    "const k = await import('./eight.ts');",
    'const from = "./nine.ts"; const l = { import: from };',
  ].join('\n');
  assert.equal(importsOf(source), [
    { specifier: './one.ts', values: ['default', 'b'], types: ['C'], loads: true, line: 1 },
    { specifier: './two.ts', values: ['d'], types: ['F'], loads: true, line: 2 },
    { specifier: './three.ts', values: [], types: ['G'], loads: false, line: 6 },
    { specifier: './four.ts', values: ['*'], types: [], loads: true, line: 7 },
    { specifier: './five.ts', values: [], types: [], loads: true, line: 8 },
    { specifier: './six.ts', values: ['*'], types: [], loads: true, line: 9 },
    { specifier: './seven.ts', values: ['i'], types: ['J'], loads: true, line: 10 },
    { specifier: './eight.ts', values: ['*'], types: [], loads: true, line: 11 },
  ]);
});

test.run();
