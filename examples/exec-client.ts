// Runs a command on a server, as `ssh` does: its output as it comes, our input, its exit status.
// Run: npx tsx examples/exec-client.ts [ssh://USER@HOST:PORT] [COMMAND]; the key and known_hosts may be named by SSH_KEY and SSH_KNOWN_HOSTS
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { Readable, Writable } from 'node:stream';
import { dial, knownHosts } from 'cordboard';

const [server = 'ssh://alice@127.0.0.1:2222', command = 'hello'] = process.argv.slice(2);
const { hostname, port, username } = new URL(server);
const { SSH_KEY = `${homedir()}/.ssh/id_ed25519`, SSH_KNOWN_HOSTS = `${homedir()}/.ssh/known_hosts` } = process.env;

await using client = await dial({
  host: hostname,
  port: Number(port || 22),
  user: username,
  keys: [await readFile(SSH_KEY, 'utf8')],
  hostKey: knownHosts({ files: [SSH_KNOWN_HOSTS] }),
});
const running = await client.start(command);
// The command may end without having read everything.
Readable.toWeb(process.stdin)
  .pipeTo(running.writable)
  .catch(() => {});
const errors = Readable.from(running.stderr).pipe(process.stderr, { end: false });
await running.readable.pipeTo(Writable.toWeb(process.stdout), { preventClose: true });
const { status, signal } = await running.exit;
if (signal) errors.write(`ended by SIG${signal}\n`);
process.exitCode = status ?? 255;
process.stdin.destroy();
