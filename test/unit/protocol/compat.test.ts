// Which peers are spared what, by what they call themselves.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { answersAtOnce, takesEow, takesHostKeys, takesNewKeys } from '../../../src/protocol/compat.ts';

test('clients that end at the announcement of host keys, or answer it unasked, are not told; all others are', () => {
  const told = [
    'OpenSSH_9.2p1 Debian-2',
    'dropbear_2022.83',
    'phpseclib_3.0 (openssl)',
    'TTSSH/2.73 Win32',
    'TTSSH/2.90',
    '',
  ];
  const not = [
    'dropbear_2019.78',
    'dropbear_2020.81',
    'dropbear_0.52',
    'phpseclib_2.0 (openssl, gmp)',
    'phpseclib_1.0',
  ];
  const openssh = ['Cisco-1.25', 'TTSSH/1.5.4', 'TTSSH/2.72 Win32', 'TeraTerm SSH2'];
  for (const name of told) assert.ok(takesHostKeys(`SSH-2.0-${name}`), name);
  for (const name of [...not, ...openssh]) assert.not(takesHostKeys(`SSH-2.0-${name}`), name);
});

test('OpenSSH from version 5 on takes eow@openssh.com, others may not', () => {
  for (const ident of ['SSH-2.0-OpenSSH_5.0', 'SSH-2.0-OpenSSH_9.2p1 Debian-2', 'SSH-2.0-OpenSSH_10.0'])
    assert.ok(takesEow(ident), ident);
  for (const ident of [
    'SSH-2.0-OpenSSH_4.9',
    'SSH-2.0-OpenSSH_2.1',
    'SSH-2.0-dropbear_2022.83',
    'SSH-2.0-x_OpenSSH_9',
    '',
  ])
    assert.not.ok(takesEow(ident), ident);
});

test('who answers at once, and who keeps its keys', () => {
  for (const name of ['OpenSSH_9.2', 'cordboard_0.1']) assert.ok(answersAtOnce(`SSH-2.0-${name}`), name);
  for (const name of ['Ruby/Net::SSH_7.1.0', 'libssh2_1.10.0', 'x_OpenSSH_9'])
    assert.not(answersAtOnce(`SSH-2.0-${name}`), name);
  for (const name of ['dev-tunnels-ssh_3.12.22', 'vs-ssh_3.0']) assert.not(takesNewKeys(`SSH-2.0-${name}`), name);
  for (const name of ['OpenSSH_9.2', 'xvs-ssh_3']) assert.ok(takesNewKeys(`SSH-2.0-${name}`), name);
});

test.run();
