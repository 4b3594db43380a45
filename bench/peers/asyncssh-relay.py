"""A program: the switchboard's data path as one would write it on AsyncSSH. Arguments: host key, public key that may sign in."""
import asyncio
import sys

import asyncssh
from asyncssh.forward import SSHForwarder

# Who has plugged in what, by user and port.
lines = {}


class Line(asyncssh.SSHListener):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def close(self):
        lines.pop(self.name, None)


class Relay(asyncssh.SSHServer):
    def connection_made(self, conn):
        self.conn = conn

    def server_requested(self, _host, port):
        name = (self.conn.get_extra_info('username'), port)
        lines[name] = self.conn
        return Line(name)

    def connection_requested(self, host, port, from_host, from_port):
        owner = lines.get((host, port))
        return owner is not None and call(owner, port, from_host, from_port)


async def call(owner, port, from_host, from_port):
    # AsyncSSH's own way of joining two streams, back pressure included.
    _, far = await owner.create_connection(SSHForwarder, 'localhost', port, from_host, from_port)
    return SSHForwarder(far)


async def main():
    server = await asyncssh.listen(
        '127.0.0.1',
        0,
        server_factory=Relay,
        # Read once: AsyncSSH would parse a file anew for each connection.
        server_host_keys=[asyncssh.read_private_key(sys.argv[1])],
        authorized_client_keys=asyncssh.read_authorized_keys(sys.argv[2]),
    )
    print(f'port {server.sockets[0].getsockname()[1]}', flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
