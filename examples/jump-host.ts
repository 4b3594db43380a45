// Through one server to another that only the first can reach, as `ssh -J`: the first sees nothing but ciphertext.
// Run: npx tsx examples/jump-host.ts [ssh://USER@JUMP:PORT] [ssh://USER@HOST:PORT] [COMMAND]
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { type ClientConnection, dial, knownHosts } from 'cordboard';

const [jump = 'ssh://alice@127.0.0.1:2222', target = 'ssh://alice@127.0.0.1:22', command = 'hostname'] =
  process.argv.slice(2);
const { SSH_KEY = `${homedir()}/.ssh/id_ed25519`, SSH_KNOWN_HOSTS = `${homedir()}/.ssh/known_hosts` } = process.env;
const key = await readFile(SSH_KEY, 'utf8');

function connect(server: string, via?: ClientConnection): Promise<ClientConnection> {
  const { hostname, port, username } = new URL(server);
  return dial({
    via,
    host: hostname,
    port: Number(port || 22),
    user: username,
    keys: [key],
    hostKey: knownHosts({ files: [SSH_KNOWN_HOSTS] }),
  });
}

await using board = await connect(jump);
await using client = await connect(target, board);
const { stdout, stderr, status } = await client.exec(command);
process.stdout.write(stdout);
process.stderr.write(stderr);
process.exitCode = status ?? 255;
