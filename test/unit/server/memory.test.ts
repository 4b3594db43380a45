// What Node 20 lacks, and programs add.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { release } from '../../../src/protocol/wire/packet.ts';
import { enableTransfer } from '../../../src/server/runtime/memory.ts';

test('afterwards memory can be given back, on every runtime that we support', () => {
  enableTransfer();
  enableTransfer();
  const bytes = new Uint8Array(8192).fill(1);
  release(bytes);
  assert.is(bytes.length, 0);
  assert.not(Object.keys(ArrayBuffer.prototype).includes('transfer'), 'as the engine’s own, it is not enumerable');
});

test.run();
