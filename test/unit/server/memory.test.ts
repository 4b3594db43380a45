// What Node 20 lacks, and programs add.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Packet, release, sent } from '../../../src/protocol/wire/packet.ts';
import { enableTransfer } from '../../../src/server/runtime/memory.ts';

test('afterwards memory can be given back, on every runtime that we support', () => {
  enableTransfer();
  enableTransfer();
  const bytes = new Uint8Array(8192).fill(1);
  release(bytes);
  assert.is(bytes.length, 0);
  assert.not(Object.keys(ArrayBuffer.prototype).includes('transfer'), 'as the engine’s own, it is not enumerable');
});

test('what is sent of a packet gives back all the memory that the packet has to itself, and none that it shares', () => {
  enableTransfer();
  const whole = (owned: boolean) => {
    const packet = Packet.alloc(8192);
    packet.owned = owned;
    release(sent(packet, 1, 8100));
    return packet.bytes.length;
  };
  assert.is(whole(true), 0);
  assert.ok(whole(false) > 8192);
});

test.run();
