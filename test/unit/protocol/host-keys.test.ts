// Host key rotation (OpenSSH PROTOCOL §2.5): all keys are named after sign-in, and each is proven over this very session.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { byName, type CryptoProvider, type PrivateKey } from '../../../src/crypto/provider.ts';
import { proofAlgorithm, proofData } from '../../../src/protocol/host-keys.ts';
import { Reader, Writer } from '../../../src/protocol/wire/reader.ts';
import { insecureKey } from '../../kit/insecure.ts';
import { call, closeServers, hostKey, provider, testServer } from '../../kit/served.ts';

const second: PrivateKey = insecureKey(Uint8Array.of(2));

/** Asks for proof of the keys with these blobs. */
async function prove(...blobs: Uint8Array[]): Promise<{ reply: Uint8Array | undefined; sessionId: Uint8Array }> {
  const { client } = await call(testServer({ hostKeys: [hostKey, second] }));
  const request = new Writer();
  for (const blob of blobs) request.string(blob);
  const reply = await client.connection.request('hostkeys-prove-00@openssh.com', request.finish());
  const sessionId = client.connection.transport.sessionId!;
  await client.close();
  return { reply, sessionId };
}

test('a proof is a signature by each key, in the order asked, over this session and the key', async () => {
  const { reply, sessionId } = await prove(second.blob, hostKey.blob);
  const reader = new Reader(reply!);
  const { verify } = byName(provider.signatures, 'insecure-signature')!;
  for (const { blob } of [second, hostKey]) {
    const signature = reader.string();
    const signed = new Writer().string('hostkeys-prove-00@openssh.com').string(sessionId).string(blob).finish();
    assert.ok(verify(blob, signed, signature));
    assert.not.ok(verify(blob, proofData(Uint8Array.of(1), blob), signature), 'another session');
  }
  assert.is(reader.remaining, 0);
});

test('a key that is not ours, or one asked for twice, is not proven, and neither are the others', async () => {
  assert.is((await prove(hostKey.blob, insecureKey(Uint8Array.of(9)).blob)).reply, undefined);
  assert.is((await prove(hostKey.blob, hostKey.blob)).reply, undefined);
  assert.equal((await prove()).reply, new Uint8Array(0));
});

test('a malformed request for proof is refused, and the next one is answered', async () => {
  const { client } = await call(testServer());
  const prove = (data: Uint8Array) => client.connection.request('hostkeys-prove-00@openssh.com', data);
  assert.is(await prove(Uint8Array.of(0, 0, 0, 9, 1)), undefined);
  assert.ok(await prove(new Writer().string(hostKey.blob).finish()));
  assert.not(client.connection.closed);
  await client.close();
});

test('an RSA key proves itself by the algorithm of the key exchange, if that was by RSA', () => {
  const algorithm = (name: string, keyType: string) => ({ ...provider.signatures[0], name, keyType });
  const some: CryptoProvider = {
    ...provider,
    signatures: [
      algorithm('ssh-ed25519', 'ssh-ed25519'),
      algorithm('rsa-sha2-512', 'ssh-rsa'),
      algorithm('rsa-sha2-256', 'ssh-rsa'),
    ],
  };
  assert.is(proofAlgorithm('ssh-rsa', 'rsa-sha2-256', some)?.name, 'rsa-sha2-256');
  assert.is(proofAlgorithm('ssh-rsa', 'ssh-ed25519', some)?.name, 'rsa-sha2-512');
  assert.is(proofAlgorithm('ssh-dss', 'ssh-ed25519', some), undefined);
});

test.after(closeServers);

test.run();
