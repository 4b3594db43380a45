// Sign-in by authorized_keys lines: each rule of a line, of a certificate and of a security token lets in or keeps out, and the log says which.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../../src/crypto/accelerated.ts';
import {
  type AuthorizedKey,
  type CertificateRequest,
  certifiedKey,
  checkRevoked,
  fingerprint,
  formatPublicKey,
  issueCertificate,
  makeKrl,
  parseAuthorizedKeys,
  parseCertificate,
  parsePublicKeyBlob,
  publicOf,
  STANDARD_EXTENSIONS,
} from '../../../src/crypto/keys/index.ts';
import { byName, type Presence, type PrivateKey } from '../../../src/crypto/provider.ts';
import type { AuthAnswer, AuthQuestion } from '../../../src/protocol/userauth/questions.ts';
import {
  type Admission,
  type AuthorizedKeysOptions,
  authorizedKeys,
  type Client,
  judgeKey,
  type KeyPolicy,
  type KeyUse,
  type Logger,
  TokenCounters,
} from '../../../src/server/index.ts';
import { Pair } from '../../kit/pair.ts';
import { plugged, TOUCHED, Token, VERIFIED } from '../../kit/token.ts';

const provider = accelerated;
const make = (name = 'ssh-ed25519'): PrivateKey => byName(provider.signatures, name)!.generate(provider.random, name);
const [user, other, authority, stranger] = [make(), make(), make(), make()];
const token = new Token('ecdsa');
const NOW = Date.UTC(2026, 5, 1, 12);

const EVERYTHING = [
  ...['command', 'environment', 'permitopen', 'permitlisten', 'tunnel', 'restrict'],
  ...['pty', 'port-forwarding', 'agent-forwarding', 'x11-forwarding', 'user-rc'].flatMap(name => [name, `no-${name}`]),
];
const policy = (changes: Partial<KeyPolicy> = {}): KeyPolicy => ({ provider, enforced: EVERYTHING, ...changes });

/** Lines from their options and keys. */
function lines(...rows: (readonly [options: string, key: { blob: Uint8Array }])[]): AuthorizedKey[] {
  const text = rows.map(([options, { blob }]) => `${options} ${formatPublicKey(parsePublicKeyBlob(blob))}`).join('\n');
  const { entries, problems } = parseAuthorizedKeys(text);
  assert.equal(problems, []);
  return entries;
}

const use = (key: { blob: Uint8Array }, changes: Partial<KeyUse> = {}): KeyUse => ({
  ...{ user: 'alice', key: key.blob, address: '192.0.2.1', now: NOW },
  ...changes,
});

function admitted(entries: readonly AuthorizedKey[], wanted: KeyUse, rules = policy()): Admission {
  const verdict = judgeKey(entries, wanted, rules);
  if ('refused' in verdict) throw new Error(verdict.refused);
  return verdict;
}

function refused(entries: readonly AuthorizedKey[], wanted: KeyUse, sentence: RegExp, rules = policy()): void {
  const verdict = judgeKey(entries, wanted, rules);
  assert.ok('refused' in verdict, `admitted, expected ${sentence}`);
  assert.match(verdict.refused, sentence);
}

const certificate = (changes: Partial<CertificateRequest> = {}, by = authority, key = user) =>
  parseCertificate(
    issueCertificate(
      {
        ...{ key: publicOf(key), kind: 'user', keyId: 'alice', principals: ['alice'], serial: 7n },
        ...{ validAfter: BigInt(NOW / 1000 - 60), validBefore: BigInt(NOW / 1000 + 60) },
        extensions: STANDARD_EXTENSIONS,
        ...changes,
      },
      by,
      provider,
    ),
  );
const CA = ['cert-authority', authority] as const;

// Plain keys

test('a key is admitted by its line, with the rules in it', () => {
  const entries = lines(['', other], ['permitopen="a:1",command="ls",no-pty', user]);
  const { entry, rules, key, certificate } = admitted(entries, use(user));
  assert.is(entry.line, 2);
  assert.is(rules.command, 'ls');
  assert.not(rules.pty);
  assert.ok(rules.portForwarding);
  assert.equal(rules.permitOpen, [{ host: 'a', port: 1, glob: false }]);
  assert.equal(key, user.blob);
  assert.is(certificate, undefined);
});

test('a key that is in no line is not known', () => {
  for (const entries of [[], lines(['', other]), lines(CA)]) {
    const verdict = judgeKey(entries, use(user), policy());
    assert.equal(verdict, { refused: 'no line admits the key', known: false });
  }
  refused(lines(CA), use(authority), /^no line admits the key$/);
});

test('what is no key is refused, not a fault', () => {
  refused(lines(['', user]), use({ blob: new Uint8Array(3) }), /damaged/);
  refused(lines(['', user]), use({ blob: user.blob.subarray(0, 20) }), /damaged/);
  refused(lines(CA), use({ blob: certificate().blob.subarray(0, 99) }), /the certificate is damaged/);
});

test('of several lines that let a key in the preferred one counts, and none that keeps it out', () => {
  const entries = lines(['no-pty', user], ['permitopen="a:1"', user], ['from="10.0.0.1"', user]);
  assert.is(admitted(entries, use(user)).entry.line, 1);
  const last = policy({ prefer: (one, other) => other.entry.line - one.entry.line });
  assert.is(admitted(entries, use(user), last).entry.line, 2);
});

test('from and expiry-time; a further line of the same key may still admit it', () => {
  const from = lines(['from="198.51.100.0/24"', user]);
  refused(from, use(user), /^the key in line 1 may not be used from 192\.0\.2\.1$/);
  admitted(from, use(user, { address: '198.51.100.9' }));
  const named = lines(['from="*.example.org"', user]);
  refused(named, use(user), /may not be used from/);
  admitted(named, use(user, { hostName: 'a.example.org' }));
  const expired = lines(['expiry-time="20260601Z"', user]);
  refused(expired, use(user), /^the key in line 1 expired at 2026-06-01T00:00:00\.000Z$/);
  admitted(expired, use(user, { now: NOW - 86_400_000 }));
  assert.is(admitted([...expired, ...lines(['', other], ['no-pty', user])], use(user)).rules.pty, false);
  refused(
    lines(['expiry-time="20260601Z"', user], ['from="10.0.0.1"', user]),
    use(user),
    /line 1 .*; the key in line 2 /,
  );
});

test('an option that is not carried out refuses the key altogether, by name', () => {
  refused(
    lines(['command="ls"', user]),
    use(user),
    /^the key in line 1 cannot be used: its option command is not supported$/,
    {
      provider,
    },
  );
  // Another line for the key does not help: which of the two was meant?
  refused(lines(['', user], ['tunnel="1"', user]), use(user), /line 2 cannot be used: its option tunnel/, { provider });
  refused(lines(['no-such', user]), use(user), /its option no-such is not supported/);
  // Those that concern sign-in are always carried out.
  admitted(lines(['from="*",expiry-time="20300101",no-touch-required', user]), use(user), { provider });
  assert.equal(
    admitted(lines(['mine="1"', user]), use(user), policy({ extra: ['mine'] })).rules.extra,
    new Map([['mine', ['1']]]),
  );
});

test('principals without cert-authority make no sense', () => {
  refused(lines(['principals="alice"', user]), use(user), /has principals, but is no cert-authority/);
});

// Certificates

test('a certificate is admitted by the line of its authority', () => {
  const { entry, rules, key, certificate: read } = admitted(lines(['', other], CA), use(certificate()));
  assert.is(entry.line, 2);
  assert.equal(key, user.blob, 'the key itself, not the certificate');
  assert.is(read!.keyId, 'alice');
  assert.ok(rules.pty && rules.portForwarding && rules.agentForwarding && rules.x11Forwarding && rules.userRc);
  assert.is(rules.expiry, NOW + 60_000);
});

test('only by that of its authority: not by a plain line of the authority or of the certified key', () => {
  refused(
    lines(['', authority]),
    use(certificate()),
    /^no line admits certificate "alice" \(serial 7\) signed by ED25519 CA /,
  );
  refused(lines(['', user]), use(certificate()), /^no line admits certificate/);
  refused(lines(CA), use(certificate({}, stranger)), /^no line admits certificate .* signed by ED25519 CA SHA256:/);
  refused(lines(CA), use(user), /^no line admits the key$/);
});

const subject = `certificate "alice" \\(serial 7\\) signed by ED25519 CA ${fingerprint(authority.blob).replace(/[+/]/g, '.')}`;

test('each rule for certificates keeps out, with a sentence that names it', () => {
  const at = (changes: Partial<CertificateRequest>, sentence: string, wanted: Partial<KeyUse> = {}) =>
    refused(lines(CA), use(certificate(changes), wanted), new RegExp(`^${subject} ${sentence}`));
  at({ validBefore: BigInt(NOW / 1000) }, 'expired at 2026-06-01T12:00:00Z$');
  at({ validAfter: BigInt(NOW / 1000 + 1) }, 'is not valid before 2026-06-01T12:00:01Z$');
  at({ principals: ['bob', 'carol'] }, 'is not for "alice": its principals are "bob", "carol"$');
  at({ kind: 'host', extensions: {} }, 'is for a host, not for a user$');
  at({ criticalOptions: { 'source-address': '10.0.0.0/8' } }, 'is not to be used from 192.0.2.1');
  at(
    { criticalOptions: { 'new@example.org': true } },
    'has the critical option new@example.org, which is not supported$',
  );
  const broken = certificate().blob.slice();
  broken[broken.length - 1] ^= 1;
  refused(lines(CA), use({ blob: broken }), new RegExp(`^${subject} (has a wrong signature|is signed)`));
  admitted(lines(CA), use(certificate({ criticalOptions: { 'source-address': '192.0.2.0/24' } })));
});

test('the line of the authority has its own say: from, expiry-time, options that are not carried out', () => {
  refused(
    lines(['cert-authority,from="10.0.0.1"', authority]),
    use(certificate()),
    /^the cert-authority in line 1 may not be/,
  );
  refused(
    lines(['cert-authority,expiry-time="20260101"', authority]),
    use(certificate()),
    /^the cert-authority .* expired/,
  );
  refused(lines(['cert-authority,tunnel="1"', authority]), use(certificate()), /option tunnel is not supported/, {
    provider,
  });
});

test('principals in the line stand in for the user name', () => {
  const entries = lines(['cert-authority,principals="ops,dev"', authority]);
  refused(entries, use(certificate()), /is not for "ops" or "dev": its principals are "alice"$/);
  admitted(entries, use(certificate({ principals: ['x', 'dev'] })));
  admitted(entries, use(certificate({ principals: ['dev'] }), { user: 'root' }));
});

test('what certificate and line grant together', () => {
  const none = use(certificate({ extensions: {} }));
  const { rules } = admitted(lines(CA), none);
  assert.equal(
    [rules.pty, rules.portForwarding, rules.agentForwarding, rules.x11Forwarding, rules.userRc],
    [false, false, false, false, false],
  );
  const some = use(certificate({ extensions: { 'permit-pty': true, 'permit-port-forwarding': true } }));
  const both = admitted(lines(['cert-authority,no-pty,permitopen="a:1"', authority]), some).rules;
  assert.not(both.pty);
  assert.ok(both.portForwarding);
  assert.equal(both.permitOpen!.length, 1);
});

test('who cannot do without what a certificate does not permit, does not admit it', () => {
  for (const name of Object.keys(STANDARD_EXTENSIONS)) {
    const { [name]: _left, ...extensions } = STANDARD_EXTENSIONS;
    const option = name.replace('permit', 'no').toLowerCase();
    const others = EVERYTHING.filter(known => known !== option);
    const sentence = new RegExp(`does not permit ${name.slice(7)}, and ${option} is not supported`);
    refused(lines(CA), use(certificate({ extensions })), sentence, policy({ enforced: others }));
    admitted(lines(CA), use(certificate({ extensions })));
  }
});

test('force-command', () => {
  const forced = use(certificate({ criticalOptions: { 'force-command': 'uptime' } }));
  assert.is(admitted(lines(CA), forced).rules.command, 'uptime');
  const others = policy({ enforced: EVERYTHING.filter(name => name !== 'command') });
  refused(lines(CA), forced, /critical option force-command, which is not supported/, others);
  admitted(lines(['cert-authority,command="uptime"', authority]), forced);
  refused(
    lines(['cert-authority,command="ls"', authority]),
    forced,
    /has another force-command than the line has command/,
  );
  assert.is(admitted(lines(['cert-authority,command="ls"', authority]), use(certificate())).rules.command, 'ls');
});

test('algorithms of authorities can be narrowed', () => {
  const rsa = make('rsa-sha2-512');
  const entries = lines(['cert-authority', rsa]);
  const wanted = use(certificate({}, rsa));
  admitted(entries, wanted);
  refused(entries, wanted, /"rsa-sha2-512", which is not allowed/, policy({ authorityAlgorithms: ['ssh-ed25519'] }));
});

// Security tokens

const said = (touched: boolean, verified = false): Presence => ({ touched, verified, counter: 1 });

test('a touch is asked for, unless the line says otherwise', () => {
  const entries = lines(['', token]);
  admitted(entries, use(token), policy());
  admitted(entries, use(token, { presence: said(true) }));
  refused(entries, use(token, { presence: said(false) }), /line 1 is in a security token that nobody touched$/);
  refused(entries, use(token, { presence: said(false, true) }), /that nobody touched$/);
  const lax = lines(['no-touch-required', token]);
  assert.not(admitted(lax, use(token, { presence: said(false) })).rules.touchRequired);
});

test('verify-required: by the token; a key that is in none cannot meet it', () => {
  const entries = lines(['verify-required', token], ['verify-required', user]);
  refused(entries, use(token, { presence: said(true) }), /did not verify its user, which verify-required asks for$/);
  admitted(entries, use(token, { presence: said(true, true) }));
  admitted(entries, use(token));
  refused(entries, use(user), /verify-required, which is for keys in security tokens$/);
});

test('with certificates both must do without the touch, and either may ask for verification', () => {
  const of = (changes: Partial<CertificateRequest>) => certificate({ key: parsePublicKeyBlob(token.blob), ...changes });
  const lax = of({ extensions: { 'no-touch-required': true } });
  const untouched = { presence: said(false) };
  refused(lines(CA), use(lax, untouched), /nobody touched/);
  refused(lines(['cert-authority,no-touch-required', authority]), use(of({}), untouched), /nobody touched/);
  admitted(lines(['cert-authority,no-touch-required', authority]), use(lax, untouched));
  const strict = of({ criticalOptions: { 'verify-required': true } });
  const touched = { presence: said(true) };
  refused(lines(CA), use(strict, touched), /did not verify its user/);
  admitted(lines(CA), use(strict, { presence: said(true, true) }));
  refused(lines(['cert-authority,verify-required', authority]), use(of({}), touched), /did not verify its user/);
});

// The authenticator

interface Heard {
  log: string[];
  admissions: Admission[];
  answer(question: AuthQuestion): Promise<AuthAnswer>;
}

const client = { id: 1, address: '192.0.2.1', port: 9, user: 'alice' } as Client;

function authenticator(entries: readonly AuthorizedKey[], options: Partial<AuthorizedKeysOptions> = {}): Heard {
  const log: string[] = [];
  const admissions: Admission[] = [];
  const at = (level: string) => (fields: object, message: string) => {
    assert.is((fields as { address: string }).address, '192.0.2.1');
    log.push(`${level}: ${message}`);
  };
  const logger: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const { answer } = authorizedKeys({
    ...policy(),
    keys: () => entries,
    admitted: admission => {
      admissions.push(admission);
      return undefined;
    },
    log: logger,
    now: () => NOW,
    ...options,
  });
  return { log, admissions, answer: async question => answer(question, client) };
}

const ask = (key: { blob: Uint8Array }, method: 'publickey' | 'publickey-query' = 'publickey', presence?: Presence) =>
  ({ method, user: 'alice', algorithm: 'x', key: key.blob, ...(presence && { presence }) }) as const;

test('a query is answered and has no effect; a proof hands the rules over', async () => {
  const { answer, admissions, log } = authenticator(lines(['no-pty', user]));
  assert.equal(await answer(ask(user, 'publickey-query')), { result: 'accept', untouched: false });
  assert.equal([admissions.length, log], [0, []]);
  assert.equal(await answer(ask(user)), { result: 'accept', untouched: false });
  assert.not(admissions[0].rules.pty);
  assert.equal(log, ['info: the key is accepted by line 1']);
  assert.equal(await answer({ method: 'none', user: 'alice' }), { result: 'reject' });
});

test('refusals are in the log at once, with the rule; a key that nobody knows only when debugging', async () => {
  const { answer, admissions, log } = authenticator(lines(['from="10.0.0.1"', user], CA));
  for (const key of [user, certificate({ validBefore: BigInt(NOW / 1000 - 1) }), other]) {
    assert.equal(await answer(ask(key, 'publickey-query')), { result: 'reject' });
    assert.equal(await answer(ask(key)), { result: 'reject' });
  }
  assert.is(admissions.length, 0);
  assert.is(log[0], 'info: sign-in refused: the key in line 1 may not be used from 192.0.2.1');
  assert.is(log[1], log[0]);
  assert.match(log[2], new RegExp(`^info: sign-in refused: ${subject} expired at 2026-06-01T11:59:59Z$`));
  assert.is(log[4], 'debug: sign-in refused: no line admits the key');
});

test('a certificate that no line admits is news: the log names its authority', async () => {
  const { answer, log } = authenticator(lines(CA));
  assert.equal(await answer(ask(certificate({}, stranger))), { result: 'reject' });
  assert.match(
    log[0],
    /^info: sign-in refused: no line admits .*certificate "alice" \(serial 7\) signed by ED25519 CA /,
  );
});

test('a counter that comes again keeps out, with a warning; a query does not count, nor does anything if that is not wanted', async () => {
  const counted = (counter: number): Presence => ({ touched: true, verified: false, counter });
  const entries = lines(['', token]);
  const { answer, admissions, log } = authenticator(entries);
  for (const counter of [4, 6, 5]) {
    assert.is((await answer(ask(token, 'publickey-query'))).result, 'accept');
    assert.is((await answer(ask(token, 'publickey', counted(counter)))).result, 'accept');
  }
  log.length = 0;
  assert.equal(await answer(ask(token, 'publickey', counted(5))), { result: 'reject' });
  assert.is(admissions.length, 3);
  assert.equal(log, [
    'warn: sign-in refused: the key is in a security token of which there must be a copy: its counter, 5, has gone by already',
  ]);
  // The key is the same under a certificate, and where the counters are shared.
  const counters = new TokenCounters();
  const plain = authenticator(entries, { counters });
  const certified = authenticator(lines(CA), { counters });
  const certifiedToken = certificate({ key: parsePublicKeyBlob(token.blob) });
  assert.is((await plain.answer(ask(token, 'publickey', counted(1)))).result, 'accept');
  assert.is((await certified.answer(ask(certifiedToken, 'publickey', counted(1)))).result, 'reject');
  assert.is((await certified.answer(ask(certifiedToken, 'publickey', counted(2)))).result, 'accept');
  const lax = authenticator(entries, { counters: false });
  for (const counter of [5, 5, 4]) {
    assert.is((await lax.answer(ask(token, 'publickey', counted(counter)))).result, 'accept');
  }
});

test('the application may refuse, or answer in another way', async () => {
  const decide = (admitted: AuthorizedKeysOptions['admitted']) =>
    authenticator(lines(['no-touch-required', user]), { admitted }).answer(ask(user));
  assert.equal(await decide(() => false), { result: 'reject' });
  assert.equal(await decide(async () => true), { result: 'accept', untouched: true });
  assert.equal(await decide(() => ({ result: 'partial', methods: ['password'] })), {
    ...{ result: 'partial', methods: ['password'], untouched: true },
  });
  assert.equal(await decide(() => ({ result: 'accept', banner: 'hi' })), {
    result: 'accept',
    banner: 'hi',
    untouched: true,
  });
  // Whether a touch is needed is for the line to say, not for the answer.
  const strict = authenticator(lines(['', user]), { admitted: () => ({ result: 'accept', untouched: true }) });
  assert.equal(await strict.answer(ask(user)), { result: 'accept', untouched: false });
});

test('revoked: the key, the certificate, its key, its authority', async () => {
  const mine = certificate();
  const cases: [{ blob: Uint8Array }, Uint8Array, RegExp][] = [
    [user, user.blob, /^info: sign-in refused: the key is revoked$/],
    [mine, mine.blob, new RegExp(`refused: ${subject} is revoked$`)],
    [mine, user.blob, new RegExp(`refused: ${subject}: its key is revoked$`)],
    [mine, authority.blob, new RegExp(`refused: ${subject}: its authority is revoked$`)],
  ];
  for (const [key, listed, sentence] of cases) {
    const revoked = async (blob: Uint8Array) => Buffer.compare(blob, listed) === 0;
    const { answer, admissions, log } = authenticator(lines(['', user], CA), { revoked });
    assert.equal(await answer(ask(key, 'publickey-query')), { result: 'reject' });
    assert.equal(await answer(ask(key)), { result: 'reject' });
    assert.is(admissions.length, 0);
    assert.match(log[1], sentence);
  }
  // In the words of a revocation list.
  const krl = makeKrl({ certificates: [{ authority: authority.blob, serials: [7n] }] }, { generated: 0n });
  const listed = authenticator(lines(CA), { revoked: blob => checkRevoked(krl, blob) });
  assert.equal(await listed.answer(ask(mine)), { result: 'reject' });
  assert.match(listed.log[0], new RegExp(`refused: ${subject} is revoked by its serial number, 7$`));
  assert.is((await listed.answer(ask(certificate({ serial: 8n })))).result, 'accept');
  const { answer } = authenticator(lines(['', user], CA), { revoked: () => false });
  assert.is((await answer(ask(mine))).result, 'accept');
});

test('the lines are those of the user, read for each question', async () => {
  const asked: string[] = [];
  const { answer } = authenticator([], {
    keys: async name => {
      asked.push(name);
      return asked.length > 1 ? lines(['', user]) : [];
    },
  });
  assert.is((await answer(ask(user))).result, 'reject');
  assert.is((await answer(ask(user))).result, 'accept');
  assert.equal(asked, ['alice', 'alice']);
});

// In a connection

/** Signs in over two glued cores; of which proofs the server's owner was asked, and whether it let the client in. */
function signIn(flags: number, answer: AuthAnswer, key: PrivateKey = token.privateKey, query = answer) {
  const asked: AuthQuestion[] = [];
  let signedIn = false;
  new Pair({
    provider: plugged(provider, token, { flags, counter: 42 }),
    hostKey: other,
    userKey: key,
    clientEvents: {
      ready() {
        signedIn = true;
      },
    },
    serverEvents: {
      auth: (question, reply) => {
        if (question.method === 'publickey') asked.push(question);
        const { method } = question;
        reply(method === 'publickey' ? answer : method === 'publickey-query' ? query : { result: 'reject' });
      },
    },
  }).start();
  return { asked, in: signedIn };
}

test('sign-in takes no untouched signature, whoever forgets to ask', () => {
  const touched = signIn(TOUCHED | VERIFIED, { result: 'accept' });
  assert.ok(touched.in);
  assert.equal((touched.asked[0] as { presence: Presence }).presence, { touched: true, verified: true, counter: 42 });
  const untouched = signIn(VERIFIED, { result: 'accept' });
  assert.equal(untouched.asked, [], 'what a proof may have effects on is not even asked');
  assert.not(untouched.in);
  const careless = signIn(0, { result: 'accept', untouched: true }, token.privateKey, { result: 'accept' });
  assert.equal(careless.asked, []);
  assert.not(signIn(0, { result: 'accept' }, token.privateKey, { result: 'accept', untouched: true }).in);
  assert.not(signIn(0, { result: 'partial', methods: ['publickey'] }).in);
  assert.ok(signIn(0, { result: 'accept', untouched: true }).in);
  const withCertificate = certifiedKey(token.privateKey, certificate({ key: parsePublicKeyBlob(token.blob) }));
  assert.not(signIn(0, { result: 'accept' }, withCertificate).in);
  assert.ok(signIn(TOUCHED, { result: 'accept' }, withCertificate).in);
});

test('a question about a key that is in no token says nothing of presence', () => {
  const { asked, in: signedIn } = signIn(0, { result: 'accept' }, user);
  assert.ok(signedIn);
  assert.not('presence' in asked[0]);
});

test.run();
