// An authorized_keys file is parsed once for each version, and never believed when it is out of date.
import { appendFileSync, mkdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatPublicKey, publicOf } from '../../../src/crypto/keys/index.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { byName } from '../../../src/crypto/provider.ts';
import { authorizedKeys, authorizedKeysFile, type Client } from '../../../src/server/index.ts';
import { bounded } from '../../kit/processes.ts';
import { notes } from '../../kit/served.ts';

const make = () => byName(noble.signatures, 'ssh-ed25519')!.generate(noble.random);
const [one, other] = [make(), make()];
const line = (key: typeof one) => `${formatPublicKey(publicOf(key))}\n`;

test(
  'a hundred probes parse it once, also at the same time; a change, of whatever kind, is seen by the next',
  bounded(180, async scope => {
    const file = join(scope.directory(), 'authorized_keys');
    const log = notes();
    const keys = authorizedKeysFile(file, log);
    assert.equal(await keys(), [], 'there is none');
    writeFileSync(file, `${line(one)}nonsense\n`);
    const parsed = new Set(await Promise.all(Array.from({ length: 50 }, keys)));
    for (let i = 0; i < 50; i++) parsed.add(await keys());
    assert.is(parsed.size, 1, 'one list for all: it has been parsed once');
    assert.equal(log.lines.length, 1, log.lines.join());
    assert.match(log.lines[0], /^warn line 2 of \S+authorized_keys is ignored/);

    appendFileSync(file, line(other));
    assert.is((await keys()).length, 2);
    // Another file of the same size and times.
    const { size, mtime, atime } = statSync(file);
    writeFileSync(`${file}.new`, `${line(other)}${'#'.repeat(size - line(other).length)}`);
    utimesSync(`${file}.new`, atime, mtime);
    renameSync(`${file}.new`, file);
    assert.equal(
      (await keys()).map(({ key }) => key.blob),
      [other.blob],
    );
    rmSync(file);
    assert.equal(await keys(), []);
  }),
);

test(
  'a file that cannot be read lets nobody in, and is tried again',
  bounded(180, async scope => {
    const file = join(scope.directory(), 'authorized_keys');
    mkdirSync(file);
    const keys = authorizedKeysFile(file);
    const { answer } = authorizedKeys({ provider: noble, keys, admitted: () => true });
    const ask = async () =>
      answer({ method: 'publickey-query', user: 'a', algorithm: one.type, key: one.blob }, { address: '' } as Client);
    for (let i = 0; i < 2; i++) {
      await ask().then(
        () => assert.unreachable(),
        ({ code }: { code?: string }) => assert.is(code, 'EISDIR'),
      );
    }
    rmSync(file, { recursive: true });
    writeFileSync(file, line(one));
    assert.is((await ask()).result, 'accept');
  }),
);

test.run();
