// Whose shell it is: what the system's file says, and that Node's runtime says the same.
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { account, findAccount } from '../../../src/apps/once/account.ts';

const PASSWD = `root:x:0:0:root:/root:/bin/bash
# 1000 was here
half:x:1001
sync:x:1002:65534::/bin:
alice:x:1001:1001:Alice,,,:/home/alice:/usr/bin/fish
another:x:1001:1001::/home/another:/bin/sh
`;

test('the first whole line with the number counts; a shell may be missing', () => {
  assert.equal(findAccount(PASSWD, 0), { name: 'root', shell: '/bin/bash' });
  assert.equal(findAccount(PASSWD, 1001), { name: 'alice', shell: '/usr/bin/fish' });
  assert.equal(findAccount(PASSWD, 1002), { name: 'sync', shell: '' });
  assert.is(findAccount(PASSWD, 100), undefined);
  assert.is(findAccount('', 0), undefined);
});

test('the runtime and the file agree about this account', () => {
  const { uid, username } = userInfo();
  // Bun's userInfo() repeats the environment.
  if (process.versions.bun === undefined) assert.is(account().name, username);
  const inFile = findAccount(readFileSync('/etc/passwd', 'utf8'), uid);
  if (inFile !== undefined) assert.equal(account(), inFile);
});

test.run();
