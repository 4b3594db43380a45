// authorized_keys: the grammar of a line as in sshd(8), bad lines that do not hide good ones, and lines that we write.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  fingerprint,
  formatAuthorizedKey,
  keyRules,
  MAX_KEY_FILE,
  MAX_KEY_LINE,
  MAX_PROBLEMS,
  parseAuthorizedKeys,
  parsePublicKey,
} from '../../../src/crypto/keys/index.ts';
import { UsageError } from '../../../src/protocol/errors.ts';
import { needs } from '../../kit/tools.ts';
import { fixture, inDirectory, seeded } from './files.ts';

const ed25519 = fixture('ed25519.pub').trim();
const ecdsa = fixture('ecdsa256.pub').trim();
const rsa = fixture('rsa3072.pub').trim();
const bare = ed25519.split(' ').slice(0, 2).join(' ');
const key = parsePublicKey(ed25519);

/** The only entry of a one-line text. */
function one(line: string) {
  const { entries, problems } = parseAuthorizedKeys(line);
  assert.equal(problems, []);
  assert.is(entries.length, 1);
  return entries[0];
}

/** The only problem of a one-line text that has no entry. */
function wrong(line: string, message: RegExp) {
  const { entries, problems } = parseAuthorizedKeys(line);
  assert.equal(entries, [], line);
  assert.is(problems.length, 1);
  assert.is(problems[0].line, 1);
  assert.match(problems[0].message, message);
  assert.not.match(problems[0].message, /[\p{Cc}\p{Zl}\p{Zp}]|\.$/u);
  return problems[0];
}

test('keys of every type, blank lines, comments, CRLF, line numbers', () => {
  const text = `# the fleet\r\n\r\n${ed25519}\r\n   \t\n  ${ecdsa}\n\t# ${rsa}\n${rsa}`;
  const { entries, problems } = parseAuthorizedKeys(text);
  assert.equal(problems, []);
  assert.equal(
    entries.map(({ line, comment, options, key: { type } }) => [line, comment, options.length, type]),
    [
      [3, 'ada@example.org', 0, 'ssh-ed25519'],
      [5, 'ecdsa key with spaces', 0, 'ecdsa-sha2-nistp256'],
      [7, 'rsa@example.org', 0, 'ssh-rsa'],
    ],
  );
  assert.equal(parseAuthorizedKeys(''), { entries: [], problems: [] });
});

test('options: flags, quoted values, order and repetition, names in any case', () => {
  assert.equal(
    one(`restrict,From="10.0.0.0/8",access="listen",ACCESS="initiate",no-X11-forwarding ${ed25519}`).options,
    [
      { name: 'restrict' },
      { name: 'from', value: '10.0.0.0/8' },
      { name: 'access', value: 'listen' },
      { name: 'access', value: 'initiate' },
      { name: 'no-x11-forwarding' },
    ],
  );
  assert.equal(one(`  pty\t \t${ed25519}`).options, [{ name: 'pty' }]);
});

test('values: blanks, commas, quotes and backslashes as sshd reads them', () => {
  for (const [written, value] of [
    ['', ''],
    ['a b,c=d', 'a b,c=d'],
    ['echo \\"a, b\\"', 'echo "a, b"'],
    ['C:\\dir', 'C:\\dir'],
    ['a\\\\b', 'a\\\\b'],
    ['\\\\"', '\\"'],
    [`${bare}`, bare],
    ['# no comment', '# no comment'],
    ['\u043a\u043b\u044e\u0447\t', '\u043a\u043b\u044e\u0447\t'],
  ])
    assert.equal(one(`command="${written}" ${bare}`).options, [{ name: 'command', value }]);
});

test('option lists that are none', () => {
  wrong(`from=10.0.0.1 ${ed25519}`, /value of option from is not in double quotes/);
  wrong(`from= ${ed25519}`, /value of option from is not in double quotes/);
  wrong(`from="10.0.0.1 ${ed25519}`, /option from has no closing quote/);
  wrong(`from="10.0.0.1\\" ${ed25519}`, /option from has no closing quote/);
  wrong(`from="a"pty ${ed25519}`, /from is followed by/);
  wrong(`from="a"="b" ${ed25519}`, /from is followed by/);
  wrong(`pty, restrict ${ed25519}`, /"restrict" are not supported/);
  wrong(`"pty" ${ed25519}`, /no option at column 1/);
  wrong(`pty restrict ${ed25519}`, /"restrict" are not supported/);
});

test('RSA keys named by one of their signatures', () => {
  for (const name of ['rsa-sha2-256', 'rsa-sha2-512'])
    for (const line of [rsa.replace('ssh-rsa', name), `restrict ${rsa.replace('ssh-rsa', name)}`])
      assert.is(one(line).key.type, 'ssh-rsa');
  wrong(`rsa-sha2-512 ${bare.split(' ')[1]}`, /says ssh-rsa, but the key in it is of type ssh-ed25519/);
});

test('commas too many between options, in front of them and behind them mean nothing', () => {
  for (const options of ['pty,,restrict', ',pty,restrict', 'pty,restrict,', ',,pty,,,restrict,,', 'pty,restrict,\t'])
    assert.equal(
      one(`${options} ${ed25519}`).options.map(({ name }) => name),
      ['pty', 'restrict'],
    );
  assert.equal(one(`, ${ed25519}`).options, []);
  wrong(',', /holds no key/);
});

test('lines without a key, or with one that is bad', () => {
  wrong('garbage', /holds no key after "garbage"/);
  wrong('restrict,pty', /holds no key after/);
  wrong('ssh-ed25519', /ends after its type/);
  wrong('ssh-ed25519 AAAA', /damaged/);
  wrong(`ssh-rsa ${bare.split(' ')[1]}`, /says ssh-rsa/);
  wrong(`SSH-ED25519 ${bare.split(' ')[1]}`, /not supported/);
  wrong('ssh-dss AAAAB3NzaC1kc3M= old', /"ssh-dss"/);
  wrong('ssh-xmss@openssh.com AAAA', /"ssh-xmss@openssh.com"/);
  wrong('sk-ssh-ed25519@openssh.com AAAA', /damaged/);
  wrong('ssh-ed25519-cert-v01@openssh.com AAAA', /this is a certificate where a plain public key is needed/);
  wrong(`restrict ${fixture('rsa1024.pub').trim()}`, /1024 bits is too weak/);
  wrong(`\ufeff${ed25519}`, /byte order mark/);
  wrong(`${bare}=`, /base64/);
  wrong(`${bare},x`, /base64/);
});

test('characters that could forge a line or a screen are refused, except in comments, where they are replaced', () => {
  for (const [evil, what] of [
    ['\0', /NUL/],
    ['\u001b', /control character \(U\+001B\)/],
    ['\u0007', /control character/],
    ['\u007f', /control character/],
    ['\u009b', /control character/],
    ['\u2028', /separator/],
    ['\u2029', /separator/],
    ['\r', /line end/],
    ['\u000b', /control character/],
    ['\udc00', /surrogate/],
  ] as const) {
    wrong(`command="a${evil}b" ${bare}`, what);
    for (const line of [`p${evil}ty ${bare}`, `${evil}${ed25519}`])
      assert.not.match(wrong(line, /./).message, /[\x00-\x1f\x7f-\x9f\u2028\u2029\udc00]/);
    assert.is(one(`${bare} a${evil}b`).comment, 'a\ufffdb');
  }
  assert.is(one(`${bare} a\tb`).comment, 'a\tb');
});

test('a bad line does not hide the others, and the problems name their lines', () => {
  const { entries, problems } = parseAuthorizedKeys(`bad\n${ed25519}\nfrom="x ${ecdsa}\n\u0000\n${rsa}\nssh-foo AAAA`);
  assert.equal(
    entries.map(entry => entry.line),
    [2, 5],
  );
  assert.equal(
    problems.map(problem => problem.line),
    [1, 3, 4, 6],
  );
});

test('a key in a line that is not understood is handed out all the same', () => {
  for (const line of [`from="x ${ed25519}`, `acces=denied ${ed25519}`, `a;b ${ed25519}`, `"" ${ed25519}`])
    assert.equal(wrong(line, /./).key?.blob, key.blob);
  assert.is(wrong('garbage', /./).key, undefined);
  assert.is(wrong('ssh-ed25519 AAAA', /./).key, undefined);
});

test('the limits: a line, a file, a list of problems', () => {
  const comment = 'c'.repeat(MAX_KEY_LINE - bare.length - 1);
  assert.is(one(`${bare} ${comment}`).comment, comment);
  wrong(`${bare} ${comment}c`, /longer than 262144/);
  const padded = `${ed25519}\n#`;
  assert.is(parseAuthorizedKeys(padded.padEnd(MAX_KEY_FILE, '#')).entries.length, 1);
  const { entries, problems } = parseAuthorizedKeys(padded.padEnd(MAX_KEY_FILE + 1, '#'));
  assert.equal([entries.length, problems.length, problems[0].line], [0, 1, 0]);
  const lines = parseAuthorizedKeys(`${'x\n'.repeat(MAX_PROBLEMS + 5)}from="x ${rsa}\n${'y'.repeat(100)}\n${ed25519}`);
  assert.is(lines.entries.length, 1);
  assert.is(lines.problems.length, MAX_PROBLEMS + 2);
  assert.is(lines.problems[MAX_PROBLEMS].line, MAX_PROBLEMS + 6);
  assert.equal(lines.problems[MAX_PROBLEMS + 1], { line: 0, message: '6 more lines are not understood' });
});

test('a line of an RSA key of 16384 bits is short enough', () => {
  assert.ok(Math.ceil((4 + 7 + 4 + 3 + 4 + 2049) / 3) * 4 + 8 < MAX_KEY_LINE / 4);
});

test('what we write we read', () => {
  const options = [
    { name: 'restrict' },
    { name: 'access', value: 'listen' },
    { name: 'access', value: 'initiate' },
    { name: 'command', value: 'echo "a, b" \\"c C:\\d \u2603' },
    { name: 'empty', value: '' },
  ];
  const line = formatAuthorizedKey({ options, key, comment: 'user@192.0.2.1' });
  assert.equal(one(line), { options, key: { ...key, comment: 'user@192.0.2.1' }, comment: 'user@192.0.2.1', line: 1 });
  assert.is(
    formatAuthorizedKey({ options: options.slice(1, 3), key, comment: 'user@192.0.2.1' }),
    `access="listen",access="initiate" ${bare} user@192.0.2.1`,
  );
  assert.is(formatAuthorizedKey({ key }), ed25519);
  assert.is(formatAuthorizedKey({ key, comment: '' }), bare);
});

test('a comment from a peer stays within its line', () => {
  for (const evil of ['\n', '\r\n', '\0', '\u2028', '\u001b[2J', '\ud800', '\u202e']) {
    const line = formatAuthorizedKey({ key, comment: `a${evil}${rsa}` });
    const { entries, problems } = parseAuthorizedKeys(line);
    assert.equal(problems, []);
    assert.equal(
      entries.map(entry => entry.key.blob),
      [key.blob],
    );
  }
  assert.ok(formatAuthorizedKey({ key, comment: 'x'.repeat(100_000) }).length < 2000);
});

test('options that cannot be written are the caller’s fault', () => {
  for (const option of [
    { name: '' },
    { name: 'a b' },
    { name: 'a=b' },
    { name: 'a,b' },
    { name: 'ssh-ed25519' },
    { name: 'command', value: 'a\nb' },
    { name: 'command', value: 'a\0' },
    { name: 'command', value: 'dir\\' },
    { name: 'command', value: 'x'.repeat(MAX_KEY_LINE) },
  ])
    assert.throws(
      () => formatAuthorizedKey({ options: [option], key }),
      (e: Error) => e instanceof UsageError,
    );
});

test('any option value that we write comes back (seeded)', () => {
  const next = seeded(3);
  const alphabet = ['"', '\\', ',', ' ', '\t', '=', '#', 'a', '\u00e9', '\u{1f511}'];
  for (let round = 0; round < 3000; round++) {
    const value = Array.from({ length: next() * 12 }, () => alphabet[Math.floor(next() * alphabet.length)]).join('');
    if (value.endsWith('\\')) continue;
    assert.is(one(formatAuthorizedKey({ options: [{ name: 'x', value }], key })).options[0].value, value);
  }
});

test('random damage never throws, and never gives more keys than lines (seeded)', () => {
  const next = seeded(4);
  const pick = (below: number) => Math.floor(next() * below);
  const text = [
    '# comment',
    `restrict,from="10.0.0.0/8,!10.1.0.0/16,*.example.org",expiry-time="20300101Z" ${ed25519}`,
    `permitopen="[::1]:80",permitlisten="localhost:*",command="echo \\"x\\"",environment="A=b" ${ecdsa}`,
    rsa,
    `cert-authority,principals="a,b",access="listen" ${ed25519}`,
  ].join('\n');
  const pieces = [
    '"',
    '\\"',
    ',',
    ' ',
    '\n',
    '=',
    '!',
    '/',
    ':',
    '*',
    '\0',
    '\u2028',
    '\ud800',
    'ssh-ed25519 ',
    'from="',
    '::',
    '\r',
  ];
  const names = [
    'from',
    'expiry-time',
    'permitopen',
    'permitlisten',
    'restrict',
    'command',
    'environment',
    'cert-authority',
    'principals',
  ];
  let understood = 0;
  for (let round = 0; round < 5000; round++) {
    let damaged = text;
    for (let n = 1 + pick(5); n > 0; n--) {
      const at = pick(damaged.length);
      const piece = next() < 0.7 ? pieces[pick(pieces.length)] : String.fromCharCode(pick(0x10000));
      damaged = damaged.slice(0, at) + (next() < 0.8 ? piece : '') + damaged.slice(at + pick(next() < 0.1 ? 100 : 2));
    }
    const { entries, problems } = parseAuthorizedKeys(damaged);
    assert.ok(entries.length + problems.length <= damaged.split('\n').length);
    for (const entry of entries) {
      const rules = keyRules(entry, { enforced: names, extra: ['access'] });
      if (typeof rules !== 'string') understood++;
    }
    for (const { message } of problems) assert.not.match(message, /[\p{Cc}\p{Zl}\p{Zp}]/u);
  }
  assert.ok(understood > 5000, `only ${understood} lines were still understood`);
});

needs(test, 'ssh-keygen')('ssh-keygen finds the same keys in a file that we wrote', () => {
  inDirectory(path => {
    const lines = [ed25519, ecdsa, rsa].map((text, i) =>
      formatAuthorizedKey({
        options: [{ name: 'restrict' }, { name: 'command', value: `echo "${i}, ${rsa}"` }],
        key: parsePublicKey(text),
        comment: `c${i}`,
      }),
    );
    writeFileSync(path('keys'), `# ours\n${lines.join('\n')}\n`);
    const listing = execFileSync('ssh-keygen', ['-l', '-f', path('keys')], { encoding: 'utf8' });
    assert.equal(
      listing
        .trim()
        .split('\n')
        .map(line => line.split(' ').slice(1, 3)),
      parseAuthorizedKeys(lines.join('\n')).entries.map(entry => [fingerprint(entry.key.blob), entry.comment]),
    );
  });
});

test.run();
