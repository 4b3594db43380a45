// Private key files as people have them (joined, indented, converted, saved by editors): what `ssh-keygen -y` reads we read, as the same key.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fingerprint, formatPublicKey, parsePrivateKey, parsePublicKeyFile } from '../../src/crypto/keys/index.ts';
import { KeyFormatError } from '../../src/protocol/errors.ts';
import { bounded, type Scope } from '../kit/processes.ts';
import { needs } from '../kit/tools.ts';

const both = needs(test, 'ssh-keygen', 'openssl');

const PASSPHRASE = 'pässphrase €';

const run = (program: string, ...args: string[]) => execFileSync(program, args, { encoding: 'utf8', stdio: 'pipe' });
const openssl = (...args: string[]) => run('openssl', ...args);
const typeAndBlob = (line: string) => line.split(' ', 2).join(' ').trim();

/** Keys of each kind in the forms that others are made of, and text to put around them. */
function make(scope: Scope) {
  const directory = scope.directory();
  const at = (name: string) => join(directory, name);
  const keygen = (name: string, ...args: string[]) => {
    run('ssh-keygen', '-q', '-C', 'a comment', '-f', at(name), ...args);
    return readFileSync(at(name), 'utf8');
  };
  const rsa = openssl('genrsa', '-out', at('rsa'), '-traditional', '2048') + readFileSync(at('rsa'), 'utf8');
  const ec = openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', at('ec')) + readFileSync(at('ec'));
  openssl('genpkey', '-algorithm', 'ed25519', '-out', at('ed'));
  openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2047', '-out', at('rsa2047'));
  openssl('req', '-x509', '-key', at('ec'), '-subj', '/CN=x', '-out', at('cert'), '-days', '1');
  const certificate = readFileSync(at('cert'), 'utf8');
  const openssh = keygen('openssh', '-t', 'ed25519', '-N', '');
  run('ssh-keygen', '-q', '-s', at('openssh'), '-I', 'id', '-n', 'x', `${at('openssh')}.pub`);
  const line = readFileSync(`${at('openssh')}-cert.pub`, 'utf8');
  const pass = ['-passout', `pass:${PASSPHRASE}`];
  const pkcs8 = (name: string, ...args: string[]) => openssl('pkcs8', '-topk8', '-in', at(name), ...args);
  const sealed = (name: string, ...args: string[]) => pkcs8(name, ...args, ...pass);
  const p12 = (...args: string[]) => {
    openssl('pkcs12', '-export', '-inkey', at('ec'), '-in', at('cert'), '-out', at('p12'), ...pass, '-name', 'my key');
    return openssl('pkcs12', '-in', at('p12'), '-passin', `pass:${PASSPHRASE}`, ...pass, ...args);
  };
  const curve = (name: string, ...args: string[]) =>
    openssl('ecparam', '-name', name, '-genkey', '-param_enc', 'explicit', ...args);
  return { at, keygen, rsa, ec, certificate, openssh, line, pass, pkcs8, sealed, p12, curve };
}

/** `ssh-keygen -t dsa`, which newer ones do not make any more. */
const OLD_DSA = `-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAABswAAAAdzc2gtZH
NzAAAAgQDcPPgMYnnwMkGvexwzOFF9iAk3iX/7iolzMz26k5zQ/ILog5h0bpBeCHiBqAA/
TTzCSO7/QqS/mwC/8a9HUyoL+obkhwP1QTZs/rOAy4BQSa/SeLJqQNfsXswxsv5Yn9sA7T
TSTenP9OY05D5wemrQVyY0gFCL0w95ECib7J32cwAAABUAnDsdAS4bN6uuSOwDzQZhfdzr
Lp8AAACBAINz8Jn+vN9PwNT8Jf6Ngpo5nvtbGylArdyev6MRSkhJ4n9r2eN7fXIeKDSG2j
9RNnEbOJswr7iHVRyWElYjq2Ug5nyjqM8qO9AbMErfLSBUI90esQcJu+ytGZAtYuwwDjKi
Lw+dCOA4DRrd9oefCI/AZklkkC5m+trGOEZ7sgRKAAAAgQC1/gi7sxSaQYuybBosTfeXUP
Wm+0kLK1/G0tsihUMHt+Lk2CnIw3IWZU8T0lUcEtOKPFaKzbFHsddG9CJ1b0pQW3rl11LQ
GgFs33uuKPC7YCNngp5yUZZqycnWOWy5Bp5KXdGPYGzjAk74ew3WAXiVde6JTwWZpug7kZ
fKGOTU1QAAAdjoEOIp6BDiKQAAAAdzc2gtZHNzAAAAgQDcPPgMYnnwMkGvexwzOFF9iAk3
iX/7iolzMz26k5zQ/ILog5h0bpBeCHiBqAA/TTzCSO7/QqS/mwC/8a9HUyoL+obkhwP1QT
Zs/rOAy4BQSa/SeLJqQNfsXswxsv5Yn9sA7TTSTenP9OY05D5wemrQVyY0gFCL0w95ECib
7J32cwAAABUAnDsdAS4bN6uuSOwDzQZhfdzrLp8AAACBAINz8Jn+vN9PwNT8Jf6Ngpo5nv
tbGylArdyev6MRSkhJ4n9r2eN7fXIeKDSG2j9RNnEbOJswr7iHVRyWElYjq2Ug5nyjqM8q
O9AbMErfLSBUI90esQcJu+ytGZAtYuwwDjKiLw+dCOA4DRrd9oefCI/AZklkkC5m+trGOE
Z7sgRKAAAAgQC1/gi7sxSaQYuybBosTfeXUPWm+0kLK1/G0tsihUMHt+Lk2CnIw3IWZU8T
0lUcEtOKPFaKzbFHsddG9CJ1b0pQW3rl11LQGgFs33uuKPC7YCNngp5yUZZqycnWOWy5Bp
5KXdGPYGzjAk74ew3WAXiVde6JTwWZpug7kZfKGOTU1QAAABQYDkINiEG2jWLFXPbUAWHF
6cziGgAAAAF4
-----END OPENSSH PRIVATE KEY-----
`;

const EXPLANATION = 'This is my key,\nwith a line: of text\n\n';
const lines = (text: string, change: (line: string, index: number) => string) =>
  text.split('\n').map(change).join('\n');
/** The lines of base64 only. */
const body = (text: string, change: (line: string) => string) =>
  lines(text, line => (line === '' || line.includes('-----') ? line : change(line)));

/** Every file, by what is odd about it. */
function files(scope: Scope): [name: string, text: string][] {
  const { at, keygen, rsa, ec, certificate, openssh, line, pass, pkcs8, sealed, p12, curve } = make(scope);
  const rsa8 = pkcs8('rsa', '-nocrypt');
  const ec8 = pkcs8('ec', '-nocrypt');
  const ed8 = readFileSync(at('ed'), 'utf8');
  const traditional = (name: 'ec' | 'rsa', cipher: string) =>
    openssl(name, '-in', at(name), cipher, ...pass, ...(name === 'rsa' ? ['-traditional'] : []));
  openssl('genpkey', '-genparam', '-algorithm', 'DSA', '-pkeyopt', 'dsa_paramgen_bits:1024', '-out', at('dsaparam'));
  openssl('genpkey', '-paramfile', at('dsaparam'), '-out', at('dsa'));
  const parameters = openssl('ecparam', '-name', 'prime256v1');
  const aes = traditional('rsa', '-aes128');
  return [
    // As they should be.
    ['PKCS#1', rsa],
    ['SEC 1', ec],
    ['PKCS#8, RSA', rsa8],
    ['PKCS#8, EC', ec8],
    ['PKCS#8, Ed25519', ed8],
    ['openssh-key-v1', openssh],
    // Text around them.
    ['Bag Attributes, then a PKCS#8 key', p12('-nodes', '-nocerts')],
    ['Bag Attributes, an encrypted key, and a certificate with its own', p12()],
    [
      'a certificate with Bag Attributes, and the key behind it',
      p12('-clcerts', '-nodes').replace(/^(Bag[\s\S]*?-----END PRIVATE KEY-----\n)([\s\S]*)/, '$2$1'),
    ],
    ['text in front of PKCS#1', EXPLANATION + rsa],
    ['text in front of PKCS#8', EXPLANATION + rsa8],
    ['text in front of SEC 1', EXPLANATION + ec],
    ['text in front of openssh-key-v1', EXPLANATION + openssh],
    ['"# comment" in front of PKCS#1', `# my key\n${rsa}`],
    ['text behind PKCS#1', rsa + EXPLANATION],
    ['text behind openssh-key-v1', openssh + EXPLANATION],
    ['empty lines in front', `\n\n${rsa}`],
    ['empty lines in front of openssh-key-v1', `\n\n${openssh}`],
    ['a key and a PEM certificate', ec + certificate],
    ['a PEM certificate and a key', certificate + ec],
    ['a key between certificates', certificate + ec8 + certificate],
    ['openssh-key-v1 and its certificate’s line', openssh + line],
    ['openssh-key-v1 and its public line', openssh + readFileSync(`${at('openssh')}.pub`)],
    ['openssh-key-v1 and a PEM certificate', openssh + certificate],
    ['two keys: the first counts', rsa + ec],
    ['two keys of openssh-key-v1: the first counts', openssh + keygen('second', '-t', 'ed25519', '-N', '')],
    ['a DSA parameter block in front', `-----BEGIN DSA PARAMETERS-----\nAAAA\n-----END DSA PARAMETERS-----\n${rsa}`],
    ['a public key in front', openssl('rsa', '-in', at('rsa'), '-pubout') + rsa],
    ['EC PARAMETERS in front', parameters + ec],
    ['EC PARAMETERS in front of PKCS#8', parameters + ec8],
    ['EC PARAMETERS behind', ec + parameters],
    // Blanks, line ends, editors.
    ['CRLF, PKCS#1', rsa.replaceAll('\n', '\r\n')],
    ['CRLF, PKCS#8', ec8.replaceAll('\n', '\r\n')],
    ['CRLF, openssh-key-v1', openssh.replaceAll('\n', '\r\n')],
    ['CRLF, encrypted with headers', aes.replaceAll('\n', '\r\n')],
    ['CR only', rsa.replaceAll('\n', '\r')],
    ['CR only, openssh-key-v1', openssh.replaceAll('\n', '\r')],
    ['no line end at the end', rsa.trimEnd()],
    ['no line end at the end, openssh-key-v1', openssh.trimEnd()],
    ['blanks at the ends of lines', lines(rsa, text => `${text}  \t`)],
    ['blanks at the ends of base64, openssh-key-v1', body(openssh, text => `${text}  \t`)],
    ['base64 is indented', body(rsa, text => `    ${text}`)],
    ['base64 is indented, openssh-key-v1', body(openssh, text => `  ${text}`)],
    ['all is indented', lines(rsa, text => `    ${text}`)],
    ['all but the first line is indented', lines(rsa, (text, i) => (i > 0 ? `    ${text}` : text))],
    ['all is indented, openssh-key-v1', lines(openssh, text => `    ${text}`)],
    ['blanks inside base64', body(rsa, text => text.replace(/.{16}/g, '$& '))],
    ['base64 in one line', rsa.replace(/([^-])\n(?=[^-])/g, '$1')],
    ['base64 in one line, openssh-key-v1', openssh.replace(/([^-])\n(?=[^-])/g, '$1')],
    ['an empty line between lines of base64', rsa.replace(/^(.*\n.*\n)/, '$1\n')],
    ['an empty line between lines of base64, openssh-key-v1', openssh.replace(/^(.*\n.*\n)/, '$1\n')],
    ['an empty line after BEGIN', rsa.replace(/^(.*\n)/, '$1\n')],
    ['a byte order mark', `\ufeff${rsa}`],
    ['a byte order mark, openssh-key-v1', `\ufeff${openssh}`],
    ['a byte order mark in front of text', `\ufeff# mine\n${rsa}`],
    ['four dashes', rsa.replaceAll('-----', '----')],
    ['headers that mean nothing', rsa.replace(/^(.*\n)/, '$1Comment: mine\nX-Made-By: me\n\n')],
    ['headers that mean nothing, PKCS#8', ec8.replace(/^(.*\n)/, '$1Comment: mine\n\n')],
    ['cut off', rsa.slice(0, rsa.length / 2)],
    ['no END line', rsa.replace(/-----END.*\n/, '')],
    ['END of another kind', rsa.replace('END RSA', 'END EC')],
    // Encryption.
    ...['-aes128', '-aes192', '-aes256', '-des3'].flatMap((cipher): [string, string][] => [
      [`PKCS#1 under ${cipher}`, traditional('rsa', cipher)],
      [`SEC 1 under ${cipher}`, traditional('ec', cipher)],
    ]),
    ['SEC 1 under camellia', traditional('ec', '-camellia128')],
    ['text in front of PKCS#1 under AES', EXPLANATION + aes],
    ['blanks at the ends of headers', aes.replace(/^(Proc-Type.*|DEK-Info.*)$/gm, '$1  ')],
    [
      'DEK-Info in small letters',
      aes.replace(/DEK-Info: (.*)/, (_, info: string) => `DEK-Info: ${info.replace(/,.*/, hex => hex.toLowerCase())}`),
    ],
    ['PBES1: PBE-SHA1-3DES', sealed('ec', '-v1', 'PBE-SHA1-3DES')],
    ['PBES1: PBE-SHA1-3DES, RSA', sealed('rsa', '-v1', 'PBE-SHA1-3DES', '-iter', '10000')],
    ['PBES1: PBE-SHA1-2DES', sealed('ec', '-v1', 'PBE-SHA1-2DES')],
    ['PBES1: PBE-SHA1-RC4-128', sealed('ec', '-v1', 'PBE-SHA1-RC4-128', '-provider', 'default', '-provider', 'legacy')],
    ['PBES1: PBE-MD5-DES', sealed('ec', '-v1', 'PBE-MD5-DES', '-provider', 'default', '-provider', 'legacy')],
    ['PBES2: scrypt', sealed('ec', '-scrypt')],
    [
      'PBES2: scrypt, N 1024, r 4, p 3',
      sealed('ec', '-scrypt', '-scrypt_N', '1024', '-scrypt_r', '4', '-scrypt_p', '3'),
    ],
    ...['aes-128-cbc', 'aes-192-cbc', 'aes-256-cbc', 'des3'].map((cipher): [string, string] => [
      `PBES2: ${cipher}`,
      sealed('ec', '-v2', cipher),
    ]),
    ...['SHA1', 'SHA224', 'SHA256', 'SHA384', 'SHA512', 'SHA512-224', 'SHA512-256'].map((hash): [string, string] => [
      `PBES2: HMAC with ${hash}`,
      sealed('ec', '-v2prf', `hmacWith${hash}`),
    ]),
    ['PBES2: camellia', sealed('ec', '-v2', 'camellia-128-cbc')],
    ['PBES2: 600,000 iterations', sealed('ec', '-iter', '600000')],
    // Keys.
    ['2047 bits, PKCS#8', readFileSync(at('rsa2047'), 'utf8')],
    ['2047 bits, PKCS#1', openssl('rsa', '-in', at('rsa2047'), '-traditional')],
    ['1024 bits', openssl('genrsa', '1024')],
    ['1023 bits', openssl('genrsa', '1023')],
    ['three primes', openssl('genrsa', '-primes', '3', '2048')],
    ['RSA-PSS', openssl('genpkey', '-algorithm', 'RSA-PSS')],
    ['exponent 3', openssl('genrsa', '-3', '2048')],
    ['EC without its public half', openssl('ec', '-in', at('ec'), '-no_public')],
    ['EC with a compressed public half', openssl('ec', '-in', at('ec'), '-conv_form', 'compressed')],
    ['curve spelt out: P-256', curve('prime256v1')],
    ['curve spelt out: P-256, without the block in front', curve('prime256v1', '-noout')],
    ['curve spelt out: P-384', curve('secp384r1')],
    ['curve spelt out: P-521', curve('secp521r1')],
    ['curve spelt out: points compressed', curve('prime256v1', '-conv_form', 'compressed')],
    ['curve spelt out: points hybrid', curve('prime256v1', '-conv_form', 'hybrid')],
    ['curve spelt out: without its seed', curve('prime256v1', '-no_seed')],
    [
      'curve spelt out: PKCS#8',
      openssl(
        'genpkey',
        '-algorithm',
        'EC',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-pkeyopt',
        'ec_param_enc:explicit',
      ),
    ],
    ['curve spelt out: secp256k1', curve('secp256k1')],
    ['secp256k1', openssl('ecparam', '-name', 'secp256k1', '-genkey', '-noout')],
    ['P-224', openssl('ecparam', '-name', 'secp224r1', '-genkey', '-noout')],
    ['SEC 1, P-521', openssl('ecparam', '-name', 'secp521r1', '-genkey', '-noout')],
    ['DSA', OLD_DSA],
    ['DSA, PKCS#8', readFileSync(at('dsa'), 'utf8')],
    ['DSA, PEM', openssl('pkey', '-in', at('dsa'), '-traditional')],
    ['X25519', openssl('genpkey', '-algorithm', 'X25519')],
    ['Ed448', openssl('genpkey', '-algorithm', 'ED448')],
    // No private keys.
    ['a public key', openssl('rsa', '-in', at('rsa'), '-pubout')],
    ['a certificate', certificate],
    ['a public line', line],
    ['empty', ''],
    ['text', EXPLANATION],
  ];
}

/** What we read and ssh-keygen 9.2 does not: nothing depends on a file's being refused, and it is clear which key is meant. */
const LENIENT = new Set([
  'PKCS#8, Ed25519', // OpenSSH reads it since 9.6
  'text in front of openssh-key-v1',
  'empty lines in front of openssh-key-v1',
  'CRLF, openssh-key-v1',
  'CR only',
  'CR only, openssh-key-v1',
  'no line end at the end, openssh-key-v1', // what is pasted into a variable has lost it
  'all is indented',
  'all but the first line is indented',
  'all is indented, openssh-key-v1',
  'an empty line between lines of base64',
  'a byte order mark, openssh-key-v1',
  'headers that mean nothing',
  'headers that mean nothing, PKCS#8',
]);

/** What ssh-keygen 9.2 reads and we do not, and what we say. */
const STRICT = new Map([
  // Whoever has the modulus has the key, for some money. OpenSSH's own advice is 2048.
  ['1024 bits', /1024 bits is too weak/],
  // Gone from OpenSSH 10.
  ['DSA', /"ssh-dss" are not supported/],
  ['DSA, PKCS#8', /kind that is not supported: DSA/],
  ['DSA, PEM', /a DSA key, which is too weak/],
  // openssh-key-v1 and the agent protocol have no room for a third prime; only `openssl genrsa -primes` makes them.
  ['three primes', /more than two primes/],
  // No cipher of SSH; only who asks OpenSSL for it gets it.
  ['SEC 1 under camellia', /"CAMELLIA-128-CBC,.*not supported: change that with ssh-keygen -p/],
  ['PBES2: camellia', /a cipher that is not supported .*: change that with ssh-keygen -p/],
]);

both(
  'what `ssh-keygen -y` reads we read as the same key, and what it does not read we refuse with a sentence',
  bounded(180, async scope => {
    const file = join(scope.directory(), 'key');
    const list = files(scope);
    assert.equal(
      [...LENIENT, ...STRICT.keys()].filter(name => !list.some(([other]) => other === name)),
      [],
    );
    for (const [name, text] of list) {
      writeFileSync(file, text, { mode: 0o600 });
      const { status, stdout } = spawnSync('ssh-keygen', ['-y', '-f', file, '-P', PASSPHRASE], { encoding: 'utf8' });
      const theirs = status === 0 ? typeAndBlob(stdout) : 'refused';
      let ours = 'refused';
      let reason = '';
      try {
        ours = typeAndBlob(formatPublicKey(parsePrivateKey(readFileSync(file, 'utf8'), PASSPHRASE)));
      } catch (error) {
        assert.instance(error, KeyFormatError, name);
        reason = (error as Error).message;
      }
      if (LENIENT.has(name)) assert.is.not(ours, 'refused', `${name}: ${reason}`);
      else if (STRICT.has(name)) assert.match(reason, STRICT.get(name)!, name);
      else assert.is(ours, theirs, `${name}: ${reason}`);
      // A newer ssh-keygen may read what we read before it: then as the same key.
      if (LENIENT.has(name) && theirs !== 'refused') assert.is(ours, theirs, name);
      // What is wrong is the file, except where only the passphrase can be.
      if (ours === 'refused') assert.not.match(reason, /passphrase/, name);
    }
  }),
);

/** Public key files: their text, and how ssh-keygen is asked for the key in `file` as a line. */
function publicFiles(scope: Scope): [name: string, text: string, ask: string[]][] {
  const { at, ec, rsa, line, certificate } = make(scope);
  const plain = readFileSync(`${at('openssh')}.pub`, 'utf8');
  const rsaLine = run('ssh-keygen', '-y', '-f', at('rsa'));
  const convert = (name: string, form: string) => run('ssh-keygen', '-e', '-m', form, '-f', at(name));
  const rfc = convert('rsa', 'RFC4716');
  const rfcLines = rfc.trimEnd().split('\n');
  const headed = (...headers: string[]) => [rfcLines[0], ...headers, ...rfcLines.slice(2), ''].join('\n');
  const spki = openssl('ec', '-in', at('ec'), '-pubout');
  const explicit = openssl('ec', '-in', at('ec'), '-pubout', '-param_enc', 'explicit');
  const pkcs1 = convert('rsa', 'PEM');
  const READ = ['-i', '-m', 'RFC4716', '-f'];
  const PKCS8 = ['-i', '-m', 'PKCS8', '-f'];
  const PEM = ['-i', '-m', 'PEM', '-f'];
  // The fingerprint only; ssh-keygen does not print lines as lines.
  const LINE = ['-l', '-f'];
  return [
    ['RFC 4716', rfc, READ],
    ['RFC 4716, CRLF', rfc.replaceAll('\n', '\r\n'), READ],
    ['RFC 4716, text in front', `# mine\n${rfc}`.replace('# mine', 'Subject: mine'), READ],
    ['RFC 4716, text behind', `${rfc}and so on\n`, READ],
    ['RFC 4716, no comment', headed(), READ],
    ['RFC 4716, private headers', headed('X-Made-By: me', 'Comment: "a \\', 'b"'), READ],
    ['RFC 4716, blanks at the ends', rfc.replaceAll('\n', ' \t\n'), READ],
    ['SubjectPublicKeyInfo', spki, PKCS8],
    ['SubjectPublicKeyInfo, RSA', openssl('rsa', '-in', at('rsa'), '-pubout'), PKCS8],
    ['SubjectPublicKeyInfo, RSA of 2047 bits', openssl('rsa', '-in', at('rsa2047'), '-pubout'), PKCS8],
    ['SubjectPublicKeyInfo, CRLF', spki.replaceAll('\n', '\r\n'), PKCS8],
    ['SubjectPublicKeyInfo, text around', `${EXPLANATION}${spki}${EXPLANATION}`, PKCS8],
    ['SubjectPublicKeyInfo, a certificate in front', certificate + spki, PKCS8],
    ['SubjectPublicKeyInfo, indented base64', body(spki, text => `  ${text}`), PKCS8],
    ['SubjectPublicKeyInfo, curve spelt out', explicit, PKCS8],
    ['SubjectPublicKeyInfo, hybrid', openssl('ec', '-in', at('ec'), '-pubout', '-conv_form', 'hybrid'), PKCS8],
    ['SubjectPublicKeyInfo, compressed', openssl('ec', '-in', at('ec'), '-pubout', '-conv_form', 'compressed'), PKCS8],
    ['SubjectPublicKeyInfo, a key in front', ec + spki, PKCS8],
    ['PKCS#1', pkcs1, PEM],
    ['PKCS#1, text around', `${EXPLANATION}${pkcs1}${EXPLANATION}`, PEM],
    ['PKCS#1, CRLF', pkcs1.replaceAll('\n', '\r\n'), PEM],
    ['a private key', rsa, PKCS8],
    ['a line', plain, LINE],
    ['a line, comments in front', `# mine\n\n${plain}`, LINE],
    ['a line, more lines behind', `${plain}${line}more\n`, LINE],
    ['a line, CRLF', plain.replace('\n', '\r\n'), LINE],
    ['a line without a comment, CRLF', `${typeAndBlob(plain)}\r\n`, LINE],
    ['a line without its end', plain.trimEnd(), LINE],
    ['a line, indented, tabs between', ` \t${plain.replaceAll(' ', '\t \t')}`, LINE],
    ['a line, named by its signatures', rsaLine.replace('ssh-rsa', 'rsa-sha2-512'), LINE],
    ['a line, named by another type', rsaLine.replace('ssh-rsa', 'rsa'), LINE],
    ['a line, an odd comment', plain.replace('a comment', 'caf\u0001\u001b[31m\u2028é'), LINE],
    ['a line, cut off', plain.slice(0, 40), LINE],
    ['empty', '', LINE],
  ];
}

both(
  'public key files: what `ssh-keygen -i` and `-l` read we read as the same key',
  bounded(180, async scope => {
    const file = join(scope.directory(), 'key');
    for (const [name, text, ask] of publicFiles(scope)) {
      writeFileSync(file, text, { mode: 0o600 });
      const { status, stdout, stderr } = spawnSync('ssh-keygen', [...ask, file], { encoding: 'utf8' });
      const print = ask[0] === '-l';
      const said = print ? stdout.split(' ')[1] : typeAndBlob(stdout);
      let ours = 'refused';
      let reason = '';
      try {
        const key = parsePublicKeyFile(readFileSync(file, 'utf8'));
        ours = print ? fingerprint(key.blob) : typeAndBlob(formatPublicKey(key));
      } catch (error) {
        assert.instance(error, KeyFormatError, name);
        reason = (error as Error).message;
      }
      assert.is(ours, status === 0 ? said : 'refused', `${name}: ${reason} ${stderr}`);
    }
  }),
);

test.run();
