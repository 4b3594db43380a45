// A server of @microsoft/dev-tunnels-ssh: HOSTKEY USER PASSWORD AUTHORIZED_KEYS; prints "listening PORT". In the blobs of its
// RSA keys stands rsa-sha2-512 or rsa-sha2-256 for their type.
const { spawn } = require('node:child_process');
const { readFileSync } = require('node:fs');
const net = require('node:net');
const ssh = require('@microsoft/dev-tunnels-ssh');
const { importKeyFile } = require('@microsoft/dev-tunnels-ssh-keys');
const { PortForwardingService } = require('@microsoft/dev-tunnels-ssh-tcp');

const [hostKey, user, password, authorized] = process.argv.slice(2);
const lines = readFileSync(authorized, 'utf8').trim().split('\n');
const keys = lines.map(line => Buffer.from(line.split(' ')[1], 'base64'));

async function isAuthorized(key) {
  const bytes = await key.getPublicKeyBytes(key.keyAlgorithmName);
  return keys.some(each => each.equals(bytes));
}

async function authenticate(event) {
  const type = ssh.SshAuthenticationType;
  switch (event.username === user ? event.authenticationType : undefined) {
    case type.clientPassword:
      return event.password === password;
    case type.clientPublicKeyQuery:
    case type.clientPublicKey:
      return isAuthorized(event.publicKey);
    case type.clientInteractive:
      if (event.infoResponse !== null) return event.infoResponse.responses[0] === password;
      event.infoRequest = new ssh.AuthenticationInfoRequestMessage();
      event.infoRequest.prompts = [{ prompt: 'Password: ', echo: false }];
  }
  return false;
}

async function run(channel, command) {
  const child = spawn('sh', command === '' ? [] : ['-c', command]);
  const status = new Promise(resolve => child.on('close', resolve));
  channel.onDataReceived(data => child.stdin.write(Buffer.from(data), () => channel.adjustWindow(data.length)));
  channel.onEof(() => child.stdin.end());
  child.stdin.on('error', () => {});
  const pass = async (stream, send) => {
    for await (const data of stream) await send(data);
  };
  await Promise.all([
    pass(child.stdout, data => channel.send(data)),
    pass(child.stderr, data => channel.sendExtendedData(ssh.SshExtendedDataType.STDERR, data)),
  ]);
  await channel.close(await status);
}

function opening({ request, channel }) {
  if (request.channelType !== 'session') return;
  channel.onRequest(event => {
    event.isAuthorized = ['pty-req', 'exec', 'shell'].includes(event.requestType);
    if (event.requestType === 'exec') run(channel, event.request.convertTo(new ssh.CommandRequestMessage()).command);
    if (event.requestType === 'shell') run(channel, '');
  });
}

async function main() {
  const config = new ssh.SshSessionConfiguration();
  config.addService(PortForwardingService);
  config.authenticationMethods.push('keyboard-interactive');
  const publicKeys = [await importKeyFile(hostKey)];
  const listener = net.createServer({ noDelay: true }, socket => {
    const session = new ssh.SshServerSession(config);
    session.credentials = { publicKeys };
    session.onAuthenticating(event => {
      event.authenticationPromise = authenticate(event).then(ok => (ok ? {} : null));
    });
    session.onRequest(event => {
      event.isAuthorized = true;
    });
    session.onChannelOpening(opening);
    const failed = error => console.error(error.message);
    session.connect(new ssh.NodeStream(socket)).catch(error => {
      failed(error);
      session.close(error.reason ?? ssh.SshDisconnectReason.protocolError, error.message).catch(failed);
    });
  });
  listener.listen(0, '127.0.0.1', () => console.log(`listening ${listener.address().port}`));
}
main();
