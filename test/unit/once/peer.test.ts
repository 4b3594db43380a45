// Who is at the other end of standard input, from what the system writes about it.
import { PassThrough } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parsePeer, peerOf } from '../../../src/apps/once/peer.ts';
import { tcpConnect, tcpServer } from '../../kit/loopback.ts';
import { bounded, soon } from '../../kit/processes.ts';

/** struct sockaddr_in, or sockaddr_in6: the family in the machine's order, the port in the network's. */
const sockaddr = (family: number, hex: string): Buffer =>
  Buffer.concat([Buffer.from([family, 0, 0x1f, 0x90]), Buffer.from(hex, 'hex'), Buffer.alloc(32)]);

test('addresses of both families, IPv4 in IPv6, and what is no connection', () => {
  assert.equal(parsePeer(sockaddr(2, 'c0000207')), { address: '192.0.2.7', port: 8080 });
  const v6 = (address: string) => parsePeer(sockaddr(10, `00000000${address}`)).address;
  assert.is(v6('20010db8000000000000000000000001'), '2001:db8::1');
  assert.is(v6('00000000000000000000000000000001'), '::1');
  assert.is(v6('00000000000000000000ffffc0000207'), '192.0.2.7');
  // AF_UNIX
  assert.equal(parsePeer(sockaddr(1, '2f746d70')), { address: '', port: 0 });
});

test(
  'a stream that knows it is asked; others are nobody',
  bounded(60, async scope => {
    assert.equal(await peerOf(new PassThrough()), { address: '', port: 0 });
    let came!: (peer: unknown) => void;
    const peer = new Promise(resolve => (came = resolve));
    const server = await tcpServer(scope, socket => void peerOf(socket).then(came));
    const client = await tcpConnect(scope, server.port);
    assert.equal(await soon('the peer', peer), {
      ...{ address: '127.0.0.1', port: client.localPort },
      ...{ localAddress: '127.0.0.1', localPort: server.port },
    });
  }),
);

test.run();
