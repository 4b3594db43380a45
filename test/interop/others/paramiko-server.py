"""A server of paramiko: HOSTKEY USER PASSWORD AUTHORIZED_KEYS; prints "listening PORT"."""

import base64
import socket
import subprocess
import sys
import threading

import paramiko

HOST_KEY, USER, PASSWORD, AUTHORIZED = sys.argv[1:]
KEYS = {line.split()[1] for line in open(AUTHORIZED)}


def load(path):
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key_file(path)
        except paramiko.SSHException:
            pass
    raise SystemExit(f"cannot read {path}")


def background(body, *args):
    threading.Thread(target=body, args=args, daemon=True).start()


def copy(read, write, end):
    """Until the end of what is read, or nobody takes it any more."""
    try:
        while data := read(32768):
            write(data)
    except OSError:
        pass
    finally:
        try:
            end()
        except OSError:
            pass


def join(channel, peer):
    """Copies both ways; each end is told of the other's."""
    forth = threading.Thread(
        target=copy, args=(channel.recv, peer.sendall, lambda: peer.shutdown(socket.SHUT_WR)), daemon=True
    )
    forth.start()
    copy(peer.recv, channel.sendall, channel.shutdown_write)
    forth.join()
    channel.close()
    peer.close()


def run(channel, command):
    arguments = ["sh", "-c", command] if command else ["sh"]
    child = subprocess.Popen(arguments, bufsize=0, stdin=-1, stdout=-1, stderr=-1)
    background(copy, channel.recv, child.stdin.write, child.stdin.close)
    errors = threading.Thread(target=copy, args=(child.stderr.read, channel.sendall_stderr, lambda: None), daemon=True)
    errors.start()
    copy(child.stdout.read, channel.sendall, lambda: None)
    errors.join()
    channel.shutdown_write()
    channel.send_exit_status(child.wait())
    channel.close()


class Server(paramiko.ServerInterface):
    def __init__(self, transport):
        self.transport = transport
        self.listeners = {}

    def get_allowed_auths(self, username):
        return "publickey,password,keyboard-interactive"

    def check_auth_publickey(self, username, key):
        ok = username == USER and key.get_base64() in KEYS
        return paramiko.AUTH_SUCCESSFUL if ok else paramiko.AUTH_FAILED

    def check_auth_password(self, username, password):
        return paramiko.AUTH_SUCCESSFUL if (username, password) == (USER, PASSWORD) else paramiko.AUTH_FAILED

    def check_auth_interactive(self, username, submethods):
        self.name = username
        return paramiko.InteractiveQuery("", "", ("Password: ", False))

    def check_auth_interactive_response(self, responses):
        return self.check_auth_password(self.name, responses[0])

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_UNKNOWN_CHANNEL_TYPE

    def check_channel_pty_request(self, *_):
        return True

    def check_channel_exec_request(self, channel, command):
        background(run, channel, command)
        return True

    def check_channel_shell_request(self, channel):
        background(run, channel, None)
        return True

    def check_channel_direct_tcpip_request(self, chanid, origin, destination):
        try:
            peer = socket.create_connection(destination)
        except OSError:
            return paramiko.OPEN_FAILED_CONNECT_FAILED
        background(self.direct, chanid, peer)
        return paramiko.OPEN_SUCCEEDED

    def direct(self, chanid, peer):
        # The channel that has been agreed to is handed out by `accept` only; others wait there, too.
        while (channel := accepted(self.transport, chanid)) is None:
            pass
        join(channel, peer)

    def check_port_forward_request(self, address, port):
        try:
            listener = socket.create_server((address, port))
        except OSError:
            return False
        port = listener.getsockname()[1]
        self.listeners[(address, port)] = listener
        background(self.listen, listener, address, port)
        return port

    def cancel_port_forward_request(self, address, port):
        listener = self.listeners.pop((address, port))
        # Otherwise the thread in accept() would take one more.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()

    def listen(self, listener, address, port):
        while True:
            try:
                peer, origin = listener.accept()
            except OSError:
                return
            background(self.called, peer, origin, address, port)

    def called(self, peer, origin, address, port):
        try:
            channel = self.transport.open_forwarded_tcpip_channel(origin, (address, port))
        except paramiko.SSHException:
            peer.close()
        else:
            join(channel, peer)


CHANNELS = {}
GUARD = threading.Lock()


def accepted(transport, chanid):
    with GUARD:
        channel = CHANNELS.pop((transport, chanid), None)
        if channel is None and (other := transport.accept(0.2)) is not None:
            CHANNELS[(transport, other.get_id())] = other
        return channel


def serve(peer):
    transport = paramiko.Transport(peer)
    transport.add_server_key(load(HOST_KEY))
    try:
        transport.start_server(server=Server(transport))
    except (paramiko.SSHException, EOFError) as error:
        print(error, file=sys.stderr)


listener = socket.create_server(("127.0.0.1", 0))
print("listening", listener.getsockname()[1], flush=True)
while True:
    background(serve, listener.accept()[0])
