"""A server of AsyncSSH: HOSTKEY USER PASSWORD AUTHORIZED_KEYS; prints "listening PORT"."""

import asyncio
import sys

import asyncssh

HOST_KEY, USER, PASSWORD, AUTHORIZED = sys.argv[1:]


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return username == USER and password == PASSWORD

    def connection_requested(self, *_):
        return True

    def server_requested(self, *_):
        return True


async def copy(source, sink):
    """Until the end of what is read, or nobody takes it any more."""
    while True:
        try:
            data = await source.read(32768)
            if not data:
                return
            sink.write(data)
            await sink.drain()
        except asyncssh.TerminalSizeChanged:
            pass
        except OSError:
            return


async def feed(process, child):
    await copy(process.stdin, child.stdin)
    child.stdin.close()


async def run(process):
    arguments = ["-c", process.command] if process.command else []
    child = await asyncio.create_subprocess_exec("sh", *arguments, stdin=-1, stdout=-1, stderr=-1)
    feeding = asyncio.create_task(feed(process, child))
    await asyncio.gather(copy(child.stdout, process.stdout), copy(child.stderr, process.stderr))
    process.stdout.write_eof()
    process.exit(await child.wait())
    feeding.cancel()


async def main():
    server = await asyncssh.create_server(
        Server,
        "127.0.0.1",
        0,
        server_host_keys=[HOST_KEY],
        authorized_client_keys=AUTHORIZED,
        process_factory=run,
        encoding=None,
        # Otherwise a line editor sits between a terminal's client and its program.
        line_editor=False,
    )
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Future()


asyncio.run(main())
