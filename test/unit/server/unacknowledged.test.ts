// /proc/net/tcp as Linux writes it: whose queue it is, by port and address of both families, and how often nothing was heard.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../../src/crypto/keys/ip-address.ts';
import { key, parse, type Unacknowledged } from '../../../src/server/runtime/unacknowledged.ts';

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';

/** One line of either file. */
const line = (local: string, remote: string, queue: string, timer: string, again: string, probes: number) =>
  `   1: ${local} ${remote} 01 ${queue}:00000007 ${timer}:00000123 ${again}  1000        ${probes} 12345 2 0000000061b0b651 20 4 30 10 -1\n`;

test('queues and unanswered tries are found by the peer; an IPv4 peer of a socket for both families counts as that', () => {
  const found = new Map<string, Unacknowledged>();
  parse(`${HEAD}${line('0100007F:0016', '0200007F:C350', '00000400', '01', '0000000A', 0)}`, found);
  const mapped = '0000000000000000FFFF0000';
  parse(
    HEAD +
      line(`${mapped}0100007F:0016`, `${mapped}0300007F:C351`, '00000000', '02', '00000000', 3) +
      line(`${'0'.repeat(31)}1:0016`, 'B80D0120000000000000000001000000:C352', '00000001', '04', '00000000', 0) +
      'a line that is none\n',
    found,
  );
  const of = (address: string, port: number) => found.get(key(22, parseAddress(address), port));
  assert.equal(of('127.0.0.2', 50000), { bytes: 1024, tries: 10 });
  assert.equal(of('127.0.0.3', 50001), { bytes: 0, tries: 3 });
  assert.equal(of('2001:db8::1', 50002), { bytes: 1, tries: 0 });
  assert.is(of('127.0.0.2', 50001), undefined);
  assert.is(found.size, 3);
});

test.run();
