// A port of our own leads to HOST:PORT as the server sees it, and a port of the server back to us: `ssh -L` and `ssh -R`.
// Run: npx tsx examples/forward.ts [ssh://USER@HOST:PORT] [LOCAL_PORT] [HOST:PORT] [REMOTE_PORT]
import { homedir } from 'node:os';
import { dial, knownHosts } from 'cordboard';

const [server = 'ssh://alice@127.0.0.1:2222', localPort = '8080', target = 'localhost:80', remotePort = '0'] =
  process.argv.slice(2);
const { hostname, port, username } = new URL(server);
const { SSH_KNOWN_HOSTS = `${homedir()}/.ssh/known_hosts` } = process.env;

await using client = await dial({
  host: hostname,
  port: Number(port || 22),
  user: username,
  // The keys that the agent holds: ssh-add -l.
  agent: true,
  hostKey: knownHosts({ files: [SSH_KNOWN_HOSTS] }),
});
const [, host, targetPort] = /^(.*):(\d+)$/.exec(target) ?? [];
const local = await client.forwardLocal({ port: Number(localPort) }, { host, port: Number(targetPort) }, console.error);
const remote = await client.listen('localhost', Number(remotePort), async ({ stream, address }) => {
  await stream.write(`Hello ${address}, this is the far end.\n`);
  await stream.end();
});
console.log(`${local.host}:${local.port} leads to ${target}; port ${remote.port} of the server leads to us`);
process.once('SIGINT', () => client.close());
await client.closed;
