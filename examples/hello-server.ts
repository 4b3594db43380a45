// Greets everybody in an authorized_keys file: `ssh -p 2222 localhost`, with a command or without.
// Run: npx tsx examples/hello-server.ts [PORT] [AUTHORIZED_KEYS] [HOST_KEY]
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import {
  accelerated,
  authorizedKeys,
  authorizedKeysFile,
  fingerprint,
  parsePrivateKey,
  Server,
  type Session,
  sessions,
} from 'cordboard';

const [port = '2222', keysFile = `${homedir()}/.ssh/authorized_keys`, hostKeyFile] = process.argv.slice(2);
// Without a file the key is a new one each time, and ssh will say so.
const hostKey = hostKeyFile
  ? parsePrivateKey(await readFile(hostKeyFile, 'utf8'))
  : accelerated.signatures[0].generate(accelerated.random);

async function greet(session: Session, said = 'nothing'): Promise<void> {
  await session.write(`Hello ${session.client.user}, you said ${said}.\n`);
  await session.exit(0);
}

const server = new Server({
  provider: accelerated,
  hostKeys: [hostKey],
  authenticators: [authorizedKeys({ provider: accelerated, keys: authorizedKeysFile(keysFile), admitted: () => true })],
  channels: { session: sessions({ shell: greet, exec: (command, session) => greet(session, command) }) },
});
const { host, port: actual } = await server.listen(Number(port));
console.log(`listening on ${host}:${actual}, with the key ${fingerprint(hostKey.blob)}`);
