// One credit counter (RFC 4254 §5.2): never below zero, never above 2^32 - 1.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Window } from '../../../src/protocol/channels/window.ts';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import { seeded } from '../../kit/insecure.ts';

const MAX = 0xffffffff;
const refuses = (body: () => void) => assert.throws(body, (error: unknown) => error instanceof ProtocolError);

test('spends to the last byte, and not one more', () => {
  const window = new Window(10);
  window.spend(4);
  window.spend(0);
  window.spend(6);
  assert.is(window.size, 0);
  window.spend(0);
  refuses(() => window.spend(1));
  assert.is(window.size, 0);
});

test('is granted up to 2^32 - 1, and not one more', () => {
  const window = new Window(MAX - 1);
  window.grant(1);
  window.grant(0);
  refuses(() => window.grant(1));
  refuses(() => window.grant(MAX));
  assert.is(window.size, MAX);
  window.spend(MAX);
  window.grant(MAX);
  assert.is(window.size, MAX);
});

test('what is refused changes nothing; random walks agree with big numbers', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = seeded(seed);
    const start = random.below(2 ** 32);
    const window = new Window(start);
    let size = BigInt(start);
    for (let i = 0; i < 200; i++) {
      const bytes = random.below(2 ** (1 + random.below(32)));
      const next = random.below(2) ? size + BigInt(bytes) : size - BigInt(bytes);
      const move = () => (next > size ? window.grant(bytes) : window.spend(bytes));
      if (next < 0n || next > BigInt(MAX)) refuses(move);
      else {
        move();
        size = next;
      }
      assert.is(BigInt(window.size), size);
    }
  }
});

test.run();
