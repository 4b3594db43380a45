// Keys in security tokens with the real ssh, sshd and ssh-keygen: plain, with certificates, as a browser signs, touched and not.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dial, type RemoteKey } from '../../src/client/index.ts';
import { accelerated } from '../../src/crypto/accelerated.ts';
import {
  certifiedKey,
  encodeBase64,
  fingerprint,
  formatPrivateKey,
  formatPublicKey,
  parsePublicKeyBlob,
  STANDARD_EXTENSIONS,
} from '../../src/crypto/keys/index.ts';
import { caLine, desk, issue } from '../kit/certificates.ts';
import { bounded, soon } from '../kit/processes.ts';
import { keyFile, ssh, sshd } from '../kit/ssh.ts';
import { type Said, TOUCHED, Token, VERIFIED } from '../kit/token.ts';
import { tokenAgent } from '../kit/token-agent.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh-keygen', 'ssh', 'sshd');

it(
  'ssh signs with a security token for our server; untouched only where the line says so',
  bounded(180, async scope => {
    for (const token of [new Token('ed25519'), new Token('ecdsa')]) {
      const pub = formatPublicKey(parsePublicKeyBlob(token.blob));
      const cert = issue({ key: parsePublicKeyBlob(token.blob) }).blob;
      const relaxed = issue({
        key: parsePublicKeyBlob(token.blob),
        extensions: { ...STANDARD_EXTENSIONS, 'no-touch-required': true },
      }).blob;
      const cases: [string, Said, Uint8Array | undefined, RegExp | undefined][] = [
        [pub, {}, undefined, undefined],
        [pub, { flags: 0 }, undefined, /the key in line 1 is in a security token that nobody touched$/],
        [`no-touch-required ${pub}`, { flags: 0 }, undefined, undefined],
        [
          `verify-required ${pub}`,
          { flags: TOUCHED },
          undefined,
          /did not verify its user, which verify-required asks for$/,
        ],
        [`verify-required ${pub}`, { flags: TOUCHED | VERIFIED }, undefined, undefined],
        [caLine(), {}, cert, undefined],
        [caLine(), { flags: 0 }, relaxed, /nobody touched$/],
        [caLine('cert-authority,no-touch-required'), { flags: 0 }, relaxed, undefined],
      ];
      for (const [line, said, certificate, refusal] of cases) {
        const at = await desk(scope, [line]);
        const agent = await tokenAgent(scope, token, { said, certificate });
        const config = [`IdentityAgent ${agent}`, 'IdentitiesOnly no', 'IdentityFile none'];
        const { code, stderr } = await ssh(scope, at.server, 'alice', ['--', 'x'], { input: '', config }).ended;
        assert.is(code, refusal === undefined ? 0 : 255, `${line}: ${stderr}`);
        if (refusal)
          assert.ok(
            at.log.some(message => refusal.test(message)),
            at.log.join('\n'),
          );
      }
    }
  }),
);

it(
  'sshd takes the signatures of our tokens, plain, with a certificate, and as a browser makes them; and wants the touch as we do',
  bounded(180, async scope => {
    const tokens = [new Token('ed25519'), new Token('ecdsa')];
    const ca = join(scope.directory(), 'ca.pub');
    writeFileSync(ca, readFileSync(`${keyFile('authority')}.pub`));
    const webauthn = 'PubkeyAcceptedAlgorithms +webauthn-sk-ecdsa-sha2-nistp256@openssh.com';
    const { host, port, user, authorizedKeys } = await sshd(scope, [], [`TrustedUserCAKeys ${ca}`, webauthn]);
    const signIn = async (
      token: Token,
      said: Said,
      options: string,
      mode: 'plain' | 'certificate' | 'page' = 'plain',
    ) => {
      const line = `${options} ${formatPublicKey(parsePublicKeyBlob(token.blob))}`;
      writeFileSync(authorizedKeys, mode === 'certificate' ? '' : `${line}\n`);
      const certificate = issue({ key: parsePublicKeyBlob(token.blob), principals: [user] });
      const key = mode === 'certificate' ? certifiedKey(token.privateKey, certificate) : token.privateKey;
      const names =
        mode === 'page' ? accelerated.signatures.filter(({ name }) => name.startsWith('webauthn-')) : undefined;
      const client = await dial({
        ...{ host, port, user, hostKey: () => true },
        provider: names
          ? { ...accelerated, signatures: [...names, ...accelerated.signatures.filter(({ presence }) => !presence)] }
          : accelerated,
        credentials: [
          {
            method: 'publickey',
            key,
            sign: (data, _algorithm, respond) =>
              respond(mode === 'page' ? token.signOnPage(data, said) : token.sign(data, said)),
          },
        ],
      });
      await client.close();
      return true;
    };
    const tried = (...args: Parameters<typeof signIn>) => signIn(...args).catch(() => false);
    for (const token of tokens) {
      assert.ok(await soon('sign-in', signIn(token, {}, '')));
      assert.ok(await signIn(token, {}, '', 'certificate'));
      assert.not(await tried(token, { flags: 0 }, ''));
      assert.ok(await signIn(token, { flags: 0 }, 'no-touch-required'));
      assert.not(await tried(token, { flags: TOUCHED }, 'verify-required'));
      assert.ok(await signIn(token, { flags: TOUCHED | VERIFIED }, 'verify-required'));
    }
    assert.ok(await signIn(tokens[1], {}, '', 'page'));
    assert.not(await tried(tokens[1], { flags: 0 }, '', 'page'));
  }),
);

it(
  'sshd with its default configuration takes a passkey, whose key names two algorithms',
  bounded(180, async scope => {
    const token = new Token('ecdsa');
    const { host, port, user, authorizedKeys } = await sshd(scope, []);
    writeFileSync(authorizedKeys, `${formatPublicKey(parsePublicKeyBlob(token.blob))}\n`);
    const asked: string[] = [];
    const passkey = (algorithms: string[]): RemoteKey => ({
      ...{ method: 'publickey', key: token.privateKey, algorithms },
      sign(data, algorithm, respond) {
        asked.push(algorithm);
        respond(token.signOnPage(data));
      },
    });
    const [webauthn, plain] = [`webauthn-${token.type}`, token.type];
    const common = { host, port, user, hostKey: () => true };
    const client = await soon('sign-in', dial({ ...common, credentials: [passkey([webauthn, plain])] }));
    await client.close();
    // The oracle: so it is refused under the first.
    const refusal = await dial({ ...common, credentials: [passkey([webauthn])] }).then(
      other => other.close().then(() => 'signed in'),
      ({ message }) => message,
    );
    assert.match(refusal, /tried publickey webauthn-sk-ecdsa-sha2-nistp256@openssh.com; it accepts publickey/);
    assert.equal(asked, [plain], 'the owner is asked once');
  }),
);

it(
  'ssh-keygen reads the files and prints the fingerprints of keys in tokens',
  bounded(180, async scope => {
    for (const token of [new Token('ed25519'), new Token('ecdsa', 'ssh:elsewhere')]) {
      const file = join(scope.directory(), 'id');
      writeFileSync(file, formatPrivateKey(token.privateKey, {}, accelerated.random), { mode: 0o600 });
      const { stdout, stderr } = await scope.run('ssh-keygen', ['-y', '-f', file]);
      assert.is(
        stdout.toString().split(' ').slice(0, 2).join(' '),
        `${token.type} ${encodeBase64(token.blob)}`,
        stderr,
      );
      const listing = await scope.run('ssh-keygen', ['-l', '-f', file]);
      assert.match(listing.stdout.toString(), new RegExp(`^256 ${fingerprint(token.blob).replace(/[+/]/g, '.')} `));
    }
  }),
);

test.run();
