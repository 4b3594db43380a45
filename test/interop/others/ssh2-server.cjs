// A server of ssh2 (npm): HOSTKEY USER PASSWORD AUTHORIZED_KEYS; prints "listening PORT".
const { spawn } = require('node:child_process');
const { readFileSync } = require('node:fs');
const net = require('node:net');
const { Server, utils } = require('ssh2');

const [hostKey, user, password, authorized] = process.argv.slice(2);
const keys = readFileSync(authorized, 'utf8')
  .trim()
  .split('\n')
  .map(line => utils.parseKey(line));

function authenticate(context) {
  if (context.username !== user) return context.reject();
  switch (context.method) {
    case 'password':
      return context.password === password ? context.accept() : context.reject();
    case 'keyboard-interactive':
      return context.prompt([{ prompt: 'Password: ', echo: false }], ([answer]) =>
        answer === password ? context.accept() : context.reject(),
      );
    case 'publickey': {
      const key = keys.find(each => each.getPublicSSH().equals(context.key.data));
      if (!key) return context.reject();
      const proven = !context.signature || key.verify(context.blob, context.signature, context.hashAlgo) === true;
      return proven ? context.accept() : context.reject();
    }
  }
  context.reject(['publickey', 'password', 'keyboard-interactive']);
}

function run(stream, command) {
  const child = spawn('sh', command === undefined ? [] : ['-c', command]);
  stream.pipe(child.stdin).on('error', () => {});
  child.stdout.pipe(stream, { end: false });
  child.stderr.pipe(stream.stderr, { end: false });
  child.on('close', status => {
    stream.exit(status);
    stream.end();
  });
}

function join(stream, socket) {
  stream.pipe(socket).pipe(stream);
  socket.on('error', () => stream.destroy());
  stream.on('error', () => socket.destroy());
  stream.on('close', () => socket.destroy());
}

const server = new Server({ hostKeys: [readFileSync(hostKey)], banner: 'welcome' }, client => {
  const listeners = new Map();
  client.on('authentication', authenticate);
  client.on('error', error => console.error(error.message));
  client.on('close', () => {
    for (const listener of listeners.values()) listener.close();
  });
  client.on('session', accept => {
    const session = accept();
    session.on('pty', accept => accept?.());
    session.on('exec', (accept, _reject, { command }) => run(accept(), command));
    session.on('shell', accept => run(accept()));
  });
  client.on('tcpip', (accept, reject, { destIP, destPort }) => {
    const socket = net.connect({ host: destIP, port: destPort, allowHalfOpen: true });
    socket.once('error', reject);
    socket.once('connect', () => join(accept(), socket));
  });
  client.on('request', (accept, reject, name, { bindAddr, bindPort }) => {
    if (name === 'cancel-tcpip-forward') {
      const listener = listeners.get(`${bindAddr} ${bindPort}`);
      listener?.close();
      return listener ? accept?.() : reject?.();
    }
    if (name !== 'tcpip-forward') return reject?.();
    const listener = net.createServer({ allowHalfOpen: true }, socket => {
      const { port } = listener.address();
      client.forwardOut(bindAddr, port, socket.remoteAddress, socket.remotePort, (error, stream) =>
        error ? socket.destroy() : join(stream, socket),
      );
    });
    listener.once('error', () => reject?.());
    listener.listen(bindPort, bindAddr, () => {
      const { port } = listener.address();
      listeners.set(`${bindAddr} ${port}`, listener);
      accept?.(port);
    });
  });
});
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
