// What the one binary runs: `cordboard`, or `otssh` if it is called so, by a link or a copy of that name.
import cluster from 'node:cluster';
import { basename } from 'node:path';

// Workers of the switchboard are started as scripts are, with the file's name in front.
if (cluster.isWorker && process.argv[2] === process.argv[1]) process.argv.splice(2, 1);

if (basename(process.argv0).startsWith('otssh') && !cluster.isWorker) void import('../src/otssh.ts');
else void import('../src/cli.ts');
