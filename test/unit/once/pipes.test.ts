// Programs with pipes, started by the C library and by the runtime: streams, ends, and which of them takes any bytes.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { libc } from '../../../src/apps/once/libc.ts';
import { startWithPipes } from '../../../src/apps/once/pipes.ts';
import { bounded, soon } from '../../kit/processes.ts';

const ways = { 'the C library': libc, 'the runtime': () => Promise.reject(new Error('koffi is not installed')) };
const env = { PATH: '/usr/bin:/bin' };
const sh = (script: string | Uint8Array) => ({ file: '/bin/sh', argv: ['sh', '-c', script], env });

async function text(source: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks).toString('latin1');
}

for (const [way, library] of Object.entries(ways)) {
  test(
    `${way}: input, two outputs, a name, a status, a signal`,
    bounded(60, async () => {
      const program = await startWithPipes(sh('echo "$0"; cat; echo bad >&2; exit 5'), library);
      await program.write(Buffer.from('in'));
      program.end();
      const outputs = await soon('the outputs', Promise.all([text(program.stdout), text(program.stderr)]));
      assert.equal([...outputs, await program.ended], ['sh\nin', 'bad\n', { status: 5 }]);
      // Nothing is written to it, and its end must come all the same.
      const silent = await startWithPipes(sh('echo go; cat; kill -TERM $$'), library);
      const said = Promise.all([text(silent.stdout), text(silent.stderr)]);
      silent.end();
      await soon('its end', said);
      assert.is((await silent.ended).signal, 'TERM');
    }),
  );

  test(
    `${way}: a program that is not there, and one that is hung up`,
    bounded(60, async () => {
      const failed = await startWithPipes({ ...sh(''), file: '/nowhere/sh' }, library).catch((error: Error) => error);
      assert.ok(failed instanceof Error && /ENOENT/.test(failed.message), String(failed));
      const program = await startWithPipes(sh('while :; do sleep 1; done'), library);
      const outputs = Promise.all([text(program.stdout), text(program.stderr)]);
      program.signalAll('HUP');
      assert.is((await soon('its end', program.ended)).signal, 'HUP');
      await outputs;
    }),
  );
}

test(
  'bytes that are not UTF-8 are for the C library, whose pipes end a writer by SIGPIPE',
  bounded(60, async () => {
    const bytes = Buffer.from('printf "%s" \xe9 "$V"', 'latin1');
    const command = { ...sh(bytes), env: { ...env, V: Uint8Array.of(0xff) } };
    const program = await startWithPipes(command);
    program.end();
    const [stdout] = await soon('the outputs', Promise.all([text(program.stdout), text(program.stderr)]));
    assert.is(stdout, '\xe9\xff');
    const refused = await startWithPipes(command, ways['the runtime']).catch((error: Error) => error);
    assert.match((refused as Error).message, /the command is not UTF-8, which needs the optional package koffi/);
    const endless = await startWithPipes(sh('yes; echo $? >&2'));
    const status = text(endless.stderr);
    for await (const _ of endless.stdout) break;
    assert.is(await soon('SIGPIPE', status), '141\n');
  }),
);

test.run();
