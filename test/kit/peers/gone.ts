// Run in a network of its own: a client that answers nothing is connected to a server; then the network goes. Says what became of the connection.
import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';
import { Connection } from '../../../src/protocol/connection.ts';
import { pause } from '../processes.ts';
import { provider, testServer } from '../served.ts';

/** Questions after which a client that answers none is not asked any more. */
const QUESTIONS = 2;

const link = (state: string) => execFileSync('ip', ['link', 'set', 'lo', state]);
link('up');
const server = testServer({
  times: { keepaliveInterval: 1, keepaliveCount: QUESTIONS },
  signedIn: ({ closed }) => void closed.then(({ message }) => console.log(`ended: ${message}`)),
});
const { host, port } = await server.listen(0);
let asked = 0;
let signedIn = false;
const socket = connect(port, host);
const client: Connection = new Connection(
  { role: 'client', provider, ident: 'SSH-2.0-Mute_1', user: 'mute', credentials: [] },
  {
    output: () => queueMicrotask(() => !signedIn && send()),
    hostKey: (_question, answer) => answer(true),
    // Whatever it is asked from now on, nothing is sent.
    ready: () => (signedIn = true),
    globalRequest: ({ type }) => {
      if (type === 'keepalive@openssh.com') asked++;
      return true;
    },
  },
);
const send = () => {
  for (const bytes of client.takeOutput()) socket.write(bytes);
};
socket.on('data', bytes => client.receive(new Uint8Array(bytes)));
client.start();
while (asked < QUESTIONS) await pause(100);
// The system asks from now on; so much longer, and it would be over.
await pause(3000);
console.log(server.clients.length === 1 ? 'lives' : 'gone too early');
link('down');
while (server.clients.length > 0) await pause(100);
process.exit();
