// Lines of authorized_keys, allowed_signers and known_hosts as people have them (commas, blanks, quotes, comments): OpenSSH and we take the same ones.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../src/crypto/accelerated.ts';
import {
  checkSigner,
  encodeBase64,
  formatPublicKey,
  issueCertificate,
  matchesHost,
  parseAllowedSigners,
  parseAuthorizedKeys,
  parseCertificate,
  parseKnownHosts,
  parseSignature,
  publicOf,
  STANDARD_EXTENSIONS,
  signMessage,
} from '../../src/crypto/keys/index.ts';
import { SERVICE_REQUEST, USERAUTH_REQUEST } from '../../src/protocol/messages.ts';
import { encode } from '../../src/protocol/wire/codec.ts';
import { Writer } from '../../src/protocol/wire/reader.ts';
import { judgeKey } from '../../src/server/index.ts';
import { bounded, soon } from '../kit/processes.ts';
import { RawClient } from '../kit/raw-client.ts';
import { sshd } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const real = needs(test, 'sshd', 'ssh-keygen');

/** Lines by what is in front of and behind the key; KEY is "type base64". */
const LINES: readonly string[] = [
  'KEY',
  'KEY a comment',
  // The end of the options.
  'no-pty, KEY',
  'no-pty,\tKEY',
  'no-pty,  \t KEY',
  'command="true", KEY',
  'no-pty,restrict, KEY',
  ', KEY',
  ',no-pty KEY',
  'no-pty,,restrict KEY',
  'no-pty,,, KEY',
  'no-pty,KEY',
  'no-pty, restrict KEY',
  'no-pty , restrict KEY',
  'no-pty ,KEY',
  'restrict KEY restrict',
  // Blanks.
  '  KEY',
  '\t \tKEY',
  ' \tno-pty\t \tKEY\ta\tcomment',
  'no-pty KEY   ',
  'KEY\r',
  'no-pty KEY\r',
  'KEY a comment\r',
  '\rKEY',
  '\vKEY',
  '\fKEY',
  'no-pty\vKEY',
  '\u00a0KEY',
  // Names.
  'NO-PTY KEY',
  'No-X11-Forwarding KEY',
  'no-x11-forwarding,NO-AGENT-forwarding KEY',
  'CERT-AUTHORITY KEY',
  'COMMAND="true" KEY',
  'From="127.0.0.1" KEY',
  'pty,port-forwarding,agent-forwarding,x11-forwarding,user-rc KEY',
  'touch-required KEY',
  'no-touch-required KEY',
  'no-verify-required KEY',
  'No-Touch-Required,Verify-Required,no-verify-required KEY',
  'no-restrict KEY',
  'no-cert-authority KEY',
  'no-no-pty KEY',
  'no-such-option KEY',
  'no-such-option="x" KEY',
  'no-pty,no-such-option KEY',
  'ptypty KEY',
  'no-ptyno-pty KEY',
  'no-pty="yes" KEY',
  'no-pty= KEY',
  'no_pty KEY',
  'pty;restrict KEY',
  '"no-pty" KEY',
  'no-"pty" KEY',
  '# KEY',
  '#KEY',
  'no-pty # KEY',
  // Values.
  'command KEY',
  'command= KEY',
  'command=true KEY',
  "command='true' KEY",
  'command="" KEY',
  'command="a b\tc,d" KEY',
  'command="say \\"hi there\\"" KEY',
  'command="a\\\\" KEY',
  'command="a\\\\\\"" KEY',
  'command="a\\" KEY',
  'command="no end KEY',
  'command="a"b KEY',
  'command="a""b" KEY',
  'command ="a" KEY',
  'command= "a" KEY',
  'command="a",command="b" KEY',
  'command="caf\u00e9 \u4e2d" KEY',
  'command="ssh-ed25519 AAAA" KEY',
  'environment="A=b" KEY',
  'environment="A_1=" KEY',
  'environment="A=b",environment="A=c" KEY',
  'environment="A" KEY',
  'environment="=b" KEY',
  'environment="A-B=c" KEY',
  'environment=A=b KEY',
  'from="127.0.0.1" KEY',
  'from="127.0.0.1," KEY',
  'from=",127.0.0.1" KEY',
  'from="10.0.0.1,,127.0.0.1" KEY',
  'from="127.0.0.1 , 10.0.0.1" KEY',
  'from="10.0.0.1, 127.0.0.1" KEY',
  'from="" KEY',
  'from="!" KEY',
  'from="127.0.0.1/33" KEY',
  'from="127.0.0.1/8" KEY',
  'from="127.0.0.0/8" KEY',
  'from="*" KEY',
  'from="127.0.0.1,!" KEY',
  'from="127.0.0.1",from="127.0.0.1" KEY',
  'from="127.0.0.1",from="10.0.0.1" KEY',
  'expiry-time="20991231" KEY',
  'expiry-time="209912312359" KEY',
  'expiry-time="20991231235959" KEY',
  'expiry-time="20991231Z" KEY',
  'expiry-time="209912312359utc" KEY',
  'expiry-time="2099123123" KEY',
  'expiry-time="20990230" KEY',
  'expiry-time="" KEY',
  'expiry-time="2099-12-31" KEY',
  'expiry-time="20991231",expiry-time="20200101" KEY',
  'expiry-time="20200101",expiry-time="20991231" KEY',
  'permitopen="a:1" KEY',
  'permitopen="a:1",permitopen="[::1]:*" KEY',
  'permitopen="*:*" KEY',
  'permitopen="a" KEY',
  'permitopen="a:" KEY',
  'permitopen=":1" KEY',
  'permitopen="a:0" KEY',
  'permitopen="a:65536" KEY',
  'permitopen="a:http" KEY',
  'permitopen="a/1" KEY',
  'permitopen="none" KEY',
  'permitopen="a:1,b:2" KEY',
  'permitopen="::1:22" KEY',
  'permitopen="" KEY',
  'permitlisten="1" KEY',
  'permitlisten="*" KEY',
  'permitlisten="localhost:*" KEY',
  'permitlisten="none" KEY',
  'permitlisten="http" KEY',
  'permitlisten="" KEY',
  'tunnel="0" KEY',
  'tunnel="any" KEY',
  'tunnel="ANY" KEY',
  'tunnel="-1" KEY',
  'tunnel="+1" KEY',
  'tunnel=" 1" KEY',
  'tunnel="x" KEY',
  'tunnel="" KEY',
  'tunnel="2147483647" KEY',
  'tunnel="2147483646" KEY',
  'principals="a" KEY',
  `from="${Array.from({ length: 5000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`)},127.0.0.1" KEY`,
  `${Array.from({ length: 4000 }, (_, i) => `permitopen="host${i}:80"`)} KEY`,
  // The key and its comment.
  'KEY= x',
  'KEYx',
  'KEY caf\u0001\u001b[31m\u2028\u0085 comment',
  'KEY caf(E9) in Latin-1',
  'KEY a(0)b',
  'no-pty KEY \u0007',
  'KEY "unbalanced',
  'KEY no-pty',
  '\ufeffKEY',
  'ssh-rsa KEY',
  'ssh-ed25519 KEY',
  'command="x" KEY # no comment',
  // Other names of its type.
  'ed25519 B64',
  'ED25519 B64',
  'no-pty ED25519 B64',
  'SSH-ED25519 B64',
  'ssh-rsa B64',
  'ssh-ed25519-cert-v01@openssh.com B64',
];

/** Whether sshd would let each key in (SSH_MSG_USERAUTH_PK_OK), asked on one connection. */
async function ask(
  client: RawClient,
  user: string,
  keys: readonly { type: string; blob: Uint8Array }[],
): Promise<boolean[]> {
  client.send(encode(SERVICE_REQUEST, { service: 'ssh-userauth' }));
  const answers: boolean[] = [];
  for (const key of keys) {
    const before = client.heard.get(PK_OK) ?? 0;
    const data = new Writer().boolean(false).string(key.type).string(key.blob).finish();
    client.send(encode(USERAUTH_REQUEST, { user, service: 'ssh-connection', method: 'publickey', data }));
    await soon('an answer', client.hears([FAILURE, PK_OK], answers.length + 1));
    answers.push((client.heard.get(PK_OK) ?? 0) > before);
  }
  return answers;
}

const PK_OK = 60;
const FAILURE = 51;

/** We let in and sshd does not: what the line's writer meant is clear. */
const LENIENT = [
  // Blanks after commas: sshd makes them part of the pattern, which then matches nobody, and with "!" keeps nobody out.
  'from="127.0.0.1 , 10.0.0.1" KEY',
  'from="10.0.0.1, 127.0.0.1" KEY',
  // All of them must admit (`KeyRules.from`).
  'from="127.0.0.1",from="127.0.0.1" KEY',
  // As PermitOpen and PermitListen of sshd_config: nothing is permitted.
  'permitopen="none" KEY',
  'permitlisten="none" KEY',
];
/** sshd lets in and we do not: the names of ports are in a database of the system's. */
const STRICT = ['permitopen="a:http" KEY', 'permitlisten="http" KEY'];

const FEATURES = ['pty', 'port-forwarding', 'agent-forwarding', 'x11-forwarding', 'user-rc'];
const ENFORCED = [
  ...['command', 'environment', 'permitopen', 'permitlisten', 'tunnel', 'restrict'],
  ...FEATURES.flatMap(name => [name, `no-${name}`]),
];

const { generate } = accelerated.signatures.find(({ name }) => name === 'ssh-ed25519')!;

real(
  'authorized_keys: the same lines admit at sshd and here, whatever stands around the key',
  bounded(180, async scope => {
    const keys = LINES.map(() => generate(accelerated.random));
    const lines = LINES.map((line, i) =>
      line.replace('KEY', formatPublicKey(publicOf(keys[i])).trim()).replace('B64', encodeBase64(keys[i].blob)),
    );
    const latin1 = Buffer.from(`${lines.join('\n')}\n`)
      .toString('latin1')
      .replace('(E9)', '\xe9')
      .replace('(0)', '\0');
    const text = Buffer.from(latin1, 'latin1');
    const target = await sshd(scope, [], ['MaxAuthTries 10000']);
    writeFileSync(target.authorizedKeys, text);
    const client = await RawClient.connect(scope, target.port);
    const theirs = await ask(client, target.user, keys);
    client.socket.destroy();
    const { entries } = parseAuthorizedKeys(text.toString());
    const use = { user: target.user, address: '127.0.0.1', now: Date.now() };
    for (const [i, line] of LINES.entries()) {
      const verdict = judgeKey(entries, { ...use, key: keys[i].blob }, { provider: accelerated, enforced: ENFORCED });
      const ours = !('refused' in verdict);
      const said = `${JSON.stringify(line.slice(0, 1000))}: ${'refused' in verdict ? verdict.refused : 'accepted'}`;
      assert.is(theirs[i], LENIENT.includes(line) ? false : STRICT.includes(line) ? true : ours, `sshd, ${said}`);
      assert.is(ours, LENIENT.includes(line) ? true : STRICT.includes(line) ? false : theirs[i], said);
    }
    assert.ok(theirs.includes(true) && theirs.includes(false));
  }),
);

/** Values of `principals=`, for a certificate that has alice and bob. */
const PRINCIPALS = [
  ...[
    'bob',
    'carol',
    'carol,bob',
    'bob,',
    ',bob',
    'carol,,bob',
    'bob,,carol',
    '',
    ',',
    'BOB',
    '*',
    'b?b',
    '!bob',
    'bo',
  ],
  ...[' bob', 'bob ', 'carol, bob'],
];
/** As in `from`: blanks are no part of a name, which sshd takes them for. */
const LENIENT_PRINCIPALS = [' bob', 'bob ', 'carol, bob'];

real(
  'principals: the same names in a cert-authority line admit a certificate at sshd and here',
  bounded(180, async scope => {
    const key = publicOf(generate(accelerated.random));
    const authorities = PRINCIPALS.map(() => generate(accelerated.random));
    const text = authorities
      .map((one, i) => `cert-authority,principals="${PRINCIPALS[i]}" ${formatPublicKey(publicOf(one))}\n`)
      .join('');
    const seconds = BigInt(Math.floor(Date.now() / 1000));
    const certificates = authorities.map(one =>
      parseCertificate(
        issueCertificate(
          {
            ...{ key, kind: 'user', keyId: 'x', principals: ['alice', 'bob'], extensions: STANDARD_EXTENSIONS },
            ...{ validAfter: seconds - 60n, validBefore: seconds + 3600n },
          },
          one,
          accelerated,
        ),
      ),
    );
    const target = await sshd(scope, [], ['MaxAuthTries 10000']);
    writeFileSync(target.authorizedKeys, text);
    const client = await RawClient.connect(scope, target.port);
    const theirs = await ask(client, target.user, certificates);
    client.socket.destroy();
    const { entries } = parseAuthorizedKeys(text);
    const use = { user: target.user, address: '127.0.0.1', now: Date.now() };
    for (const [i, value] of PRINCIPALS.entries()) {
      const verdict = judgeKey(entries, { ...use, key: certificates[i].blob }, { provider: accelerated });
      const lenient = LENIENT_PRINCIPALS.includes(value);
      assert.is(
        !('refused' in verdict),
        lenient || theirs[i],
        `"${value}": ${'refused' in verdict && verdict.refused}`,
      );
      if (lenient) assert.is(theirs[i], false, value);
    }
    assert.ok(theirs.includes(true));
  }),
);

/** Lines of allowed_signers; KEY is "type base64". */
const SIGNERS: readonly string[] = [
  'me@example.org KEY',
  'me@example.org namespaces="file" KEY',
  'me@example.org namespaces="file", KEY',
  'me@example.org namespaces="file",,valid-after="20200101" KEY',
  'me@example.org ,namespaces="file" KEY',
  'me@example.org NAMESPACES="file" KEY',
  'me@example.org namespaces="file,git" KEY a comment',
  'me@example.org namespaces="a",namespaces="file" KEY',
  'me@example.org namespaces=file KEY',
  'me@example.org valid-before="20990230" KEY',
  'me@example.org valid-before="20200101" KEY',
  'me@example.org no-such-option KEY',
  'me@example.org restrict KEY',
  'me@example.org cert-authority KEY',
  '"me@example.org" KEY',
  '"me@example.org,other name" KEY',
  'me@example.org, KEY',
  ',me@example.org KEY',
  'me@example.org,,you KEY',
  'me@example.org,! KEY',
  '*@example.org KEY',
  '  me@example.org\t\tKEY',
  'me@example.org KEY\r',
  'me@example.org KEY caf\u0001',
  '# KEY',
  'me@example.org',
  'me@example.org # KEY',
  '"me@example.org KEY',
  '"" KEY',
];

/** Ours counts and ssh-keygen's does not: a comma that it calls an unexpected end of the options, though authorized_keys may have it. */
const LENIENT_SIGNERS = ['me@example.org namespaces="file", KEY'];

real(
  'allowed_signers: the same lines count in `ssh-keygen -Y verify` and here',
  bounded(180, async scope => {
    const directory = scope.directory();
    const at = (name: string) => join(directory, name);
    const key = generate(accelerated.random);
    const text = signMessage(key, MESSAGE, { namespace: 'file' }, accelerated);
    const signature = parseSignature(text);
    writeFileSync(at('sig'), text);
    for (const line of SIGNERS) {
      const text = `${line.replace('KEY', formatPublicKey(publicOf(key)).trim())}\n`;
      writeFileSync(at('allowed'), text);
      const { status, stderr } = spawnSync(
        'ssh-keygen',
        ['-Y', 'verify', '-n', 'file', '-I', 'me@example.org', '-f', at('allowed'), '-s', at('sig')],
        { input: MESSAGE, encoding: 'utf8' },
      );
      const { entries } = parseAllowedSigners(text);
      const problem = checkSigner(entries, 'me@example.org', signature, { now: Date.now(), provider: accelerated });
      const lenient = LENIENT_SIGNERS.includes(line);
      assert.is(status === 0, !lenient && problem === undefined, `${JSON.stringify(line)}: ${problem}; ${stderr}`);
      if (lenient) assert.is(problem, undefined, line);
    }
  }),
);

const MESSAGE = Buffer.from('a message');

/** Lines of known_hosts; KEY is "type base64". */
const HOSTS: readonly string[] = [
  'host KEY',
  'host KEY a comment',
  'host, KEY',
  ',host KEY',
  'other,,host KEY',
  'other,host,! KEY',
  'host,!other KEY',
  'host,!host KEY',
  'HOST KEY',
  'h?st,x KEY',
  'host,other KEY',
  'host ,other KEY',
  'host KEY caf\u0001\u2028',
  'host KEY\r',
  'host\tKEY',
  '  host \t KEY  ',
  '@cert-authority host KEY',
  '@cert-authority   host KEY',
  '@cert-authority \thost KEY',
  '@cert-authority host, KEY',
  '@cert-authority\thost KEY',
  ' @cert-authority host KEY',
  '@revoked host KEY',
  '@Cert-Authority host KEY',
  '@cert-authority, host KEY',
  '@cert-authority',
  '@cert-authority @revoked host KEY',
  '@ host KEY',
  '@unknown host KEY',
  '#host KEY',
  'host # KEY',
  'host',
  'host ssh-ed25519',
  'host 2048 35 1234567',
  'host no-pty KEY',
  '|1|bad|hash KEY',
  '|1|AAAA|AAAA KEY',
  'host,|1|AAAA|AAAA KEY',
  '"host" KEY',
  '[host]:22 KEY',
  '\ufeffhost KEY',
];

/** Ours and not ssh's: it looks for a blank behind the marker, finds the one behind the host, and knows no such marker. */
const LENIENT_HOSTS = ['@cert-authority\thost KEY'];

real(
  'known_hosts: the same lines are about a host in `ssh-keygen -F` and here, with the same marker',
  bounded(180, async scope => {
    const file = join(scope.directory(), 'known_hosts');
    const line = formatPublicKey(publicOf(generate(accelerated.random))).trim();
    for (const host of HOSTS) {
      const text = `${host.replace('KEY', line)}\n`;
      writeFileSync(file, text);
      const { stdout } = spawnSync('ssh-keygen', ['-l', '-F', 'host', '-f', file], { encoding: 'utf8' });
      const found = stdout.includes(' SHA256:') ? (/found: line 1 ?(\w*)/.exec(stdout)?.[1] ?? '') : undefined;
      const { entries, problems } = parseKnownHosts(text);
      const [entry] = entries.filter(entry => matchesHost(entry, 'host'));
      const ours = entry && { 'cert-authority': 'CA', revoked: 'REVOKED', '': '' }[entry.marker ?? ''];
      if (LENIENT_HOSTS.includes(host)) assert.equal([ours, found], ['CA', undefined]);
      else assert.is(ours, found, `${JSON.stringify(host)}: ${JSON.stringify(problems)}`);
    }
  }),
);

test.run();
