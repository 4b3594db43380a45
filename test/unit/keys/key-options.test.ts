// What the options of a key mean (sshd(8)), and the rule that each is enforced or its key refused.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type KeyRules,
  keyRules,
  matchFrom,
  parseAuthorizedKeys,
  parseExpiry,
  permits,
} from '../../../src/crypto/keys/index.ts';
import { UsageError } from '../../../src/protocol/errors.ts';
import { fixture } from './files.ts';

const ALL = [
  'restrict',
  'port-forwarding',
  'no-port-forwarding',
  'agent-forwarding',
  'no-agent-forwarding',
  'X11-forwarding',
  'no-X11-forwarding',
  'pty',
  'no-pty',
  'user-rc',
  'no-user-rc',
  'cert-authority',
  'touch-required',
  'no-touch-required',
  'verify-required',
  'no-verify-required',
  'from',
  'expiry-time',
  'permitopen',
  'permitlisten',
  'command',
  'environment',
  'principals',
  'tunnel',
];

function read(options: string, enforced: readonly string[] = ALL, extra: readonly string[] = []): KeyRules | string {
  const { entries, problems } = parseAuthorizedKeys(`${options} ${fixture('ed25519.pub')}`);
  assert.equal(problems, []);
  return keyRules(entries[0], { enforced, extra });
}

function rules(options: string, extra?: readonly string[]): KeyRules {
  const result = read(options, ALL, extra);
  if (typeof result === 'string') throw new Error(result);
  return result;
}

function refused(options: string, message: RegExp, enforced?: readonly string[], extra?: readonly string[]): void {
  const result = read(options, enforced, extra);
  assert.type(result, 'string', options);
  assert.match(result as string, message);
}

const features = (r: KeyRules) => [r.portForwarding, r.agentForwarding, r.x11Forwarding, r.pty, r.userRc];

test('without options everything is allowed', () => {
  assert.equal(rules(''), {
    from: [],
    portForwarding: true,
    agentForwarding: true,
    x11Forwarding: true,
    pty: true,
    userRc: true,
    environment: new Map(),
    certAuthority: false,
    touchRequired: true,
    verifyRequired: false,
    extra: new Map(),
  });
});

test('tunnel: the number of a device, or any', () => {
  assert.is(rules('tunnel="0"').tunnel, 0);
  assert.is(rules('tunnel="2147483645"').tunnel, 2147483645);
  assert.is(rules('tunnel="ANY"').tunnel, 'any');
  assert.is(rules('tunnel="1",tunnel="2"').tunnel, 2);
  for (const bad of ['', '-1', '1:2', 'tun0', '2147483646', '1 ', '0x1', '99999999999'])
    refused(`tunnel="${bad}"`, /its tunnel=".*" is not the number of a device/);
  refused('tunnel', /option tunnel has no value/);
});

test('an option that the caller does not enforce refuses the key, and the sentence names it', () => {
  refused('no-such-option', /option no-such-option is not supported/);
  for (const name of ALL) {
    const line = [
      'from',
      'expiry-time',
      'permitopen',
      'permitlisten',
      'command',
      'environment',
      'principals',
      'tunnel',
    ].includes(name)
      ? `${name}="x"`
      : name;
    const others = ALL.filter(other => other !== name);
    refused(line, new RegExp(`option ${name.toLowerCase()} is not supported`), others);
    refused(line, new RegExp(`option ${name.toLowerCase()} is not supported`), []);
  }
  refused('constructor', /option constructor is not supported/);
  refused('__proto__', /./);
  refused('pty,access="x",restrict', /option access/);
});

test('to enforce an option that does not exist is the caller’s fault', () => {
  for (const name of ['permit-open', 'constructor', ''])
    assert.throws(
      () => keyRules({ options: [] }, { enforced: [name] }),
      (e: Error) => e instanceof UsageError,
    );
});

test('restrict turns everything off, later options turn on again, in order', () => {
  assert.equal(features(rules('restrict')), [false, false, false, false, false]);
  assert.equal(features(rules('restrict,port-forwarding,pty')), [true, false, false, true, false]);
  assert.equal(features(rules('restrict,agent-forwarding,X11-Forwarding,user-rc')), [false, true, true, false, true]);
  assert.equal(features(rules('pty,restrict')), [false, false, false, false, false]);
  assert.equal(features(rules('no-pty')), [true, true, true, false, true]);
  assert.equal(features(rules('no-port-forwarding,no-agent-forwarding,no-x11-forwarding,no-user-rc')), [
    false,
    false,
    false,
    true,
    false,
  ]);
  assert.equal(features(rules('no-pty,pty')), [true, true, true, true, true]);
  assert.equal(features(rules('pty,no-pty')), [true, true, true, false, true]);
});

test('flags take no value, the others need one', () => {
  for (const name of ['restrict', 'pty', 'no-pty', 'cert-authority', 'verify-required'])
    refused(`${name}="no"`, new RegExp(`option ${name} has a value`));
  for (const name of ['from', 'expiry-time', 'permitopen', 'permitlisten', 'command', 'environment', 'principals'])
    refused(name, new RegExp(`option ${name} has no value`));
});

test('several from options must all admit the address', () => {
  const { from } = rules('from="10.0.0.0/8",from="!10.1.0.0/16,*"');
  const admitted = (address: string) => from.every(patterns => matchFrom(patterns, address));
  assert.equal(['10.2.0.1', '10.1.0.1', '11.0.0.1'].map(admitted), [true, false, false]);
  refused('from="10.0.0.0/8",from="10.0.0.0/99"', /prefix length/);
  refused('from=""', /empty/);
});

test('expiry-time: every form, UTC and local time', () => {
  assert.is(parseExpiry('20300102Z'), Date.UTC(2030, 0, 2));
  assert.is(parseExpiry('203001020304Z'), Date.UTC(2030, 0, 2, 3, 4));
  assert.is(parseExpiry('20300102030405Z'), Date.UTC(2030, 0, 2, 3, 4, 5));
  assert.is(parseExpiry('20300102030405utc'), Date.UTC(2030, 0, 2, 3, 4, 5));
  assert.is(parseExpiry('20300702'), new Date(2030, 6, 2).getTime());
  assert.is(parseExpiry('20300702030405'), new Date(2030, 6, 2, 3, 4, 5).getTime());
  assert.is(parseExpiry('20280229Z'), Date.UTC(2028, 1, 29));
  for (const bad of [
    '',
    'never',
    '2030',
    '2030010',
    '2030010203',
    '203001020304056',
    '20301301',
    '20300001',
    '20300100',
    '20300232',
    '203001022400',
    '203001020060',
    '20300102030461',
    '20300102 Z',
    '20300102+01',
    '2030-01-02',
    '19691231Z',
    '\u0662\u0660\u0663\u0660\u0660\u0661\u0660\u0662',
  ])
    assert.is(parseExpiry(bad), undefined, bad);
});

test('expiry-time: a day that the month does not have is one of the next month', () => {
  assert.is(parseExpiry('20290229Z'), Date.UTC(2029, 2, 1));
  assert.is(parseExpiry('20300230'), parseExpiry('20300302'));
});

test('expiry-time: the earliest counts', () => {
  assert.is(rules('expiry-time="20300102Z"').expiry, Date.UTC(2030, 0, 2));
  assert.is(
    rules('expiry-time="20300102Z",expiry-time="20290102Z",expiry-time="20310102Z"').expiry,
    Date.UTC(2029, 0, 2),
  );
  refused('expiry-time="tomorrow"', /expiry-time "tomorrow"/);
});

test('permitopen: literal hosts, ports and *, brackets, none', () => {
  const { permitOpen } = rules(
    'permitopen="db.example.org:5432",permitopen="[2001:db8::1]:*",permitopen="*:80",permitopen="192.0.2.1:22"',
  );
  const open = (host: string, port: number) => permits(permitOpen, host, port);
  assert.ok(open('db.example.org', 5432));
  assert.not.ok(open('db.example.org', 5433));
  assert.not.ok(open('DB.example.org', 5432));
  assert.ok(open('2001:db8::1', 1));
  assert.ok(open('anything', 80));
  assert.not.ok(open('anything', 81));
  assert.not.ok(open('192.0.2.10', 22));
  assert.not.ok(permits(rules('permitopen="*.example.org:80"').permitOpen, 'a.example.org', 80));
  assert.ok(permits(rules('pty').permitOpen, 'anything', 1));
  assert.equal(rules('permitopen="none"').permitOpen, []);
  assert.not.ok(permits(rules('permitopen="none"').permitOpen, 'anything', 1));
});

test('permitlisten: patterns without regard to case, and bare ports', () => {
  const { permitListen, permitOpen } = rules(
    'permitlisten="8080",permitlisten="LocalHost:9000",permitlisten="*.example.org:443",permitlisten="[::1]:1"',
  );
  const listen = (host: string, port: number) => permits(permitListen, host, port);
  assert.ok(listen('', 8080));
  assert.ok(listen('0.0.0.0', 8080));
  assert.ok(listen('localhost', 9000));
  assert.not.ok(listen('', 9000));
  assert.ok(listen('A.example.org', 443));
  assert.not.ok(listen('example.org', 443));
  assert.ok(listen('::1', 1));
  assert.not.ok(listen('localhost', 0));
  assert.is(permitOpen, undefined);
  assert.ok(permits(rules('permitlisten="*"').permitListen, 'x', 0));
  assert.ok(permits(rules('permitlisten=":22"').permitListen, '', 22));
  assert.not.ok(permits(rules('permitlisten=":22"').permitListen, 'localhost', 22));
  assert.not.ok(permits(rules('permitlisten="none"').permitListen, '', 22));
});

test('permits that make no sense refuse the key', () => {
  for (const value of [
    '',
    'host',
    'host:',
    '80',
    'host:0',
    'host:65536',
    'host:ssh',
    'host:8 0',
    '::1:80',
    '[::1]',
    '[::1]80',
    '[]:80',
    'a:b:80',
    'host:080000',
  ])
    refused(`permitopen="${value}"`, /permitopen=/);
  for (const value of ['', 'host', '0', '65536', 'host:0', '::1:80', '[:80'])
    refused(`permitlisten="${value}"`, /permitlisten=/);
});

test('command, environment, certificates, security tokens', () => {
  const r = rules(
    'command="echo \\"hi\\"",environment="A=1",environment="A=2",environment="B=x=y",cert-authority,principals="a, b",no-touch-required,verify-required',
  );
  assert.is(r.command, 'echo "hi"');
  assert.equal(
    [...r.environment],
    [
      ['A', '1'],
      ['B', 'x=y'],
    ],
  );
  assert.ok(r.certAuthority);
  assert.equal(r.principals, ['a', 'b']);
  assert.equal([r.touchRequired, r.verifyRequired], [false, true]);
  refused('command="a",command="b"', /more than one/);
  refused('principals="a",principals="b"', /more than one/);
  // An empty name ends the list.
  assert.equal(rules('cert-authority,principals="a,,b"').principals, ['a']);
  assert.equal(rules('cert-authority,principals="a,"').principals, ['a']);
  assert.equal(rules('cert-authority,principals=""').principals, []);
  const { touchRequired, verifyRequired } = rules(
    'no-touch-required,verify-required,touch-required,no-verify-required',
  );
  assert.equal([touchRequired, verifyRequired], [true, false]);
  for (const value of ['A', '=1', 'A B=1', 'LD-X=1']) refused(`environment="${value}"`, /NAME=value/);
});

test('options of the application pass through in order, by any case of their name', () => {
  const { extra } = rules('access="listen",pty,ACCESS="initiate",alias="x",flag', ['Access', 'alias', 'flag']);
  assert.equal(
    [...extra],
    [
      ['access', ['listen', 'initiate']],
      ['alias', ['x']],
      ['flag', ['']],
    ],
  );
  refused('access="listen"', /option access is not supported/, ALL, ['acces']);
});

test.run();
