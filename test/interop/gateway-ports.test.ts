// Who can reach a port that a client has listened on: the real sshd and our server, for each value of GatewayPorts and each address.
import { connect } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClientConnection, dial } from '../../src/client/index.ts';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { remoteForwarding } from '../../src/server/index.ts';
import { bounded } from '../kit/processes.ts';
import { anyKey, readKey, serve, sshd, type Target } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'sshd', 'ssh-keygen');

/** Addresses of this host by which the listener is tried; the second is loopback, and no loopback that anybody names. */
const TRIED = ['127.0.0.1', '127.0.0.2', '::1'];
const ASKED = ['localhost', '', '*', '0.0.0.0', '::', '127.0.0.1', '127.0.0.2', '::1'];

const signIn = ({ host, port }: Target, user: string): Promise<ClientConnection> =>
  dial({ host, port, user, hostKey: () => true, keys: [readKey('alice')] });

const reaches = (host: string, port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect({ host, port });
    const over = (reached: boolean) => {
      socket.destroy();
      resolve(reached);
    };
    socket.on('connect', () => over(true));
    socket.on('error', () => over(false));
  });

/** By which addresses a port is reached, for each address that is asked for; and the address that comes back with a caller. */
async function reached(client: ClientConnection): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const asked of ASKED) {
    let listener: Awaited<ReturnType<ClientConnection['listen']>>;
    try {
      listener = await client.listen(asked, 0);
    } catch {
      found[asked] = 'refused';
      continue;
    }
    const by: string[] = [];
    for (const address of TRIED) if (await reaches(address, listener.port)) by.push(address);
    // A caller is taken only if the server names the listener to the letter.
    const { value: call } = await listener[Symbol.asyncIterator]().next();
    call.stream.channel.close();
    found[asked] = by.join(', ');
    await listener.close();
  }
  return found;
}

it(
  'ports are reached as sshd’s are, by GatewayPorts no, yes and clientspecified',
  bounded(180, async scope => {
    for (const [word, gatewayPorts] of [
      ['no', false],
      ['yes', true],
      ['clientspecified', 'clientspecified'],
    ] as const) {
      const theirs = await sshd(scope, [{ owner: 'alice' }], [`GatewayPorts ${word}`]);
      const ours = await serve(scope, {
        provider: accelerated,
        authenticators: [anyKey()],
        requests: remoteForwarding({ allowed: () => true, gatewayPorts }),
      });
      const [a, b] = [await signIn(theirs, theirs.user), await signIn(ours, 'alice')];
      for (const client of [a, b]) scope.defer(() => client.close());
      assert.equal(await reached(b), await reached(a), word);
    }
  }),
);

test.run();
