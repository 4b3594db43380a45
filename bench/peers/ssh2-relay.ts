// A program: the switchboard's data path as one would write it on `ssh2`. Arguments: host key, public key that may sign in, then "no-delay", "no-add-on".
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Duplex } from 'node:stream';

/** The few parts of `ssh2` that a relay uses; its types would bring a second @types/node with them. */
interface Key {
  getPublicSSH(): Buffer;
  verify(data: Buffer, signature: Buffer, hash?: string): boolean | Error;
}
interface Attempt {
  method: string;
  username: string;
  key?: { data: Buffer };
  blob?: Buffer;
  signature?: Buffer;
  hashAlgo?: string;
  accept(): void;
  reject(methods: string[]): void;
}
interface Call {
  destIP: string;
  destPort: number;
  srcIP: string;
  srcPort: number;
}
type Reply = (() => void) | undefined;
interface Peer {
  setNoDelay(on: boolean): void;
  on(event: 'authentication', body: (attempt: Attempt) => void): void;
  on(event: 'request', body: (accept: Reply, reject: Reply, name: string, info: { bindPort: number }) => void): void;
  on(event: 'tcpip', body: (accept: () => Duplex | undefined, reject: () => void, info: Call) => void): void;
  on(event: 'error', body: (error: Error) => void): void;
  on(event: 'close', body: () => void): void;
  forwardOut(
    host: string,
    port: number,
    from: string,
    fromPort: number,
    then: (e: Error | undefined, stream: Duplex) => void,
  ): void;
}

const [hostKey, userKey, ...flags] = process.argv.slice(2);
const require = createRequire(import.meta.url);
if (flags.includes('no-add-on')) {
  require.extensions['.node'] = () => {
    throw new Error('left out');
  };
}
const { Server, utils } = require('ssh2');
const permitted = utils.parseKey(readFileSync(userKey)) as Key;
/** Who has plugged in what: `user:port`. */
const lines = new Map<string, Peer>();

const server = new Server({ hostKeys: [readFileSync(hostKey)] }, (peer: Peer) => {
  if (flags.includes('no-delay')) peer.setNoDelay(true);
  let user = '';
  peer.on('error', () => {});
  peer.on('authentication', attempt => {
    const known = attempt.method === 'publickey' && attempt.key!.data.equals(permitted.getPublicSSH());
    const proven =
      attempt.signature === undefined || permitted.verify(attempt.blob!, attempt.signature, attempt.hashAlgo) === true;
    if (!known || !proven) return attempt.reject(['publickey']);
    user = attempt.username;
    attempt.accept();
  });
  peer.on('request', (accept, reject, name, { bindPort }) => {
    if (name !== 'tcpip-forward') return reject?.();
    lines.set(`${user}:${bindPort}`, peer);
    accept?.();
  });
  peer.on('tcpip', (accept, reject, { destIP, destPort, srcIP, srcPort }) => {
    const owner = lines.get(`${destIP}:${destPort}`);
    if (owner === undefined) return reject();
    owner.forwardOut('localhost', destPort, srcIP, srcPort, (error, far) => {
      const near = error ? reject() : accept();
      near?.pipe(far).pipe(near);
      near?.on('error', () => far.destroy());
      far?.on('error', () => near?.destroy());
    });
  });
  peer.on('close', () => {
    for (const [line, owner] of lines) if (owner === peer) lines.delete(line);
  });
});
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
