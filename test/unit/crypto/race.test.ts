// Which ciphers a server prefers is found out by a race, whose clock and runners are ours here.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../../src/crypto/accelerated.ts';
import { noble } from '../../../src/crypto/noble.ts';
import type { CipherAlgorithm } from '../../../src/crypto/provider.ts';
import { race } from '../../../src/crypto/race.ts';
import { seeded } from '../../kit/insecure.ts';

const [chacha, gcm, gcm256] = noble.ciphers;

/** The cipher, with each packet costing so many milliseconds of `clock` to seal, and as many to open. */
function costing(cipher: CipherAlgorithm, cost: (packet: number) => number, clock: { now: number }): CipherAlgorithm {
  return {
    ...cipher,
    sealer(key, iv, random) {
      const inner = cipher.sealer(key, iv, random);
      let packet = 0;
      return {
        seal(...args) {
          clock.now += cost(packet++);
          inner.seal(...args);
        },
      };
    },
    opener(key, iv) {
      const inner = cipher.opener(key, iv);
      let packet = 0;
      return {
        headLength: inner.headLength,
        copiesFrom: inner.copiesFrom,
        frameLength: (...args) => inner.frameLength(...args),
        open(...args) {
          clock.now += cost(packet++);
          return inner.open(...args);
        },
      };
    },
  };
}

function winner(some: (packet: number) => number, rival: (packet: number) => number): string[] {
  const clock = { now: 0 };
  const { bytes } = seeded(1);
  return race([costing(gcm, some, clock), gcm256], costing(chacha, rival, clock), bytes, () => clock.now);
}

test('the cheaper one is preferred, and as much as equal ones are; a dearer one is not', () => {
  const both = [gcm.name, gcm256.name];
  assert.equal(
    winner(
      () => 1,
      () => 3,
    ),
    both,
  );
  assert.equal(
    winner(
      () => 11,
      () => 10,
    ),
    both,
  );
  assert.equal(
    winner(
      () => 13,
      () => 10,
    ),
    [],
  );
});

test('what the first packets cost does not count: they are spent on the compiler', () => {
  assert.equal(
    winner(
      packet => (packet < 8 ? 100 : 1),
      () => 3,
    ),
    [gcm.name, gcm256.name],
  );
  assert.equal(
    winner(
      () => 5,
      packet => (packet < 8 ? 100 : 1),
    ),
    [],
  );
});

test('the accelerated provider prefers AEADs that it has, or none, and decides once', () => {
  const preferred = accelerated.preferCiphers;
  for (const name of preferred ?? [])
    assert.ok(accelerated.ciphers.some(cipher => cipher.name === name && cipher.aead));
  assert.is(accelerated.preferCiphers, preferred);
});

test.run();
