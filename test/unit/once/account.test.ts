// Whose shell it is: what the system's file says, and that Node's runtime says the same.
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { account, findAccount, missingVariables } from '../../../src/apps/once/account.ts';

const PASSWD = `root:x:0:0:root:/root:/bin/bash
# 1000 was here
half:x:1001
sync:x:1002:65534::/bin:
alice:x:1001:1001:Alice,,,:/home/alice:/usr/bin/fish
another:x:1001:1001::/home/another:/bin/sh
`;

test('the first whole line with the number counts; a shell may be missing', () => {
  assert.equal(findAccount(PASSWD, 0), { name: 'root', home: '/root', shell: '/bin/bash' });
  assert.equal(findAccount(PASSWD, 1001), { name: 'alice', home: '/home/alice', shell: '/usr/bin/fish' });
  assert.equal(findAccount(PASSWD, 1002), { name: 'sync', home: '/bin', shell: '' });
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

test('a session has the variables of sshd(8) that the container has not', () => {
  const alice = findAccount(PASSWD, 1001)!;
  const all = {
    ...{ USER: 'alice', LOGNAME: 'alice', HOME: '/home/alice', MAIL: '/var/mail/alice', SHELL: '/bin/sh' },
    PATH: '/usr/local/bin:/usr/bin:/bin:/usr/games',
  };
  assert.equal(missingVariables({}, alice, '/bin/sh', false), all);
  assert.equal(missingVariables({ ...all, HOME: '' }, alice, '/bin/sh', false), { HOME: '/home/alice' });
  const { PATH: path } = missingVariables({ HOME: '/app' }, alice, '/bin/sh', true);
  assert.is(path, '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin');
  // A uid that the image's passwd file does not have.
  const nobody = { name: '', home: '', shell: '' };
  assert.equal(missingVariables({ PATH: '/bin' }, nobody, '/bin/sh'), { HOME: '/', SHELL: '/bin/sh' });
});

test.run();
