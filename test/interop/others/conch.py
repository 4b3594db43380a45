# twisted.conch as a client: one mode a run ("server", "consume", "provide", "once"), one line of JSON a step. See others-clients.test.ts.
import json
import os
import struct
import sys

from twisted.conch.ssh import channel, common, connection, forwarding, keys, session, transport, userauth
from twisted.internet import defer, protocol, reactor, task

env = os.environ
step = "start"


def done(name):
    print(json.dumps({"step": name, "ok": True}), flush=True)


def end(code):
    os._exit(code)


def pattern(size):
    return bytes((i * 31 + (i >> 8)) & 255 for i in range(size))


class Auth(userauth.SSHUserAuthClient):
    """Signs in with the key, or with the password alone."""

    def __init__(self, connection, password):
        super().__init__(env["TARGET_USER"].encode(), connection)
        self.password = password

    def getPassword(self, prompt=None):
        return defer.succeed(self.password.encode()) if self.password else None

    def getPublicKey(self):
        if self.password or self.lastPublicKey:
            return None
        return keys.Key.fromFile(env["TARGET_KEY"]).public()

    def getPrivateKey(self):
        return defer.succeed(keys.Key.fromFile(env["TARGET_KEY"]))


class Connection(connection.SSHConnection):
    ready = None

    def serviceStarted(self):
        super().serviceStarted()
        self.ready.callback(self)

    def channel_forwarded_tcpip(self, window, packet, data):
        return Echo(remoteWindow=window, remoteMaxPacket=packet)


class Transport(transport.SSHClientTransport):
    def verifyHostKey(self, key, _fingerprint):
        known = open(env["TARGET_KNOWN"]).read().split("\n")
        right = any(keys.Key.fromString(" ".join(line.split(" ")[1:])).blob() == key for line in known if line)
        return defer.succeed(True) if right else defer.fail(Exception("another host key"))

    # Called after each exchange of keys. The conch command asks for the service each time, too, and must hear that there is no such thing.
    def connectionSecure(self):
        self.requestService(self.factory.auth)

    def receiveError(self, code, description):
        fail(Exception(f"disconnected: {description}"))


def dial(password=None):
    factory = protocol.ClientFactory.forProtocol(Transport)
    factory.connection = Connection()
    factory.connection.ready = defer.Deferred()
    factory.auth = Auth(factory.connection, password)
    reactor.connectTCP(env["TARGET_HOST"], int(env["TARGET_PORT"]), factory)
    return factory.connection.ready


class Echo(channel.SSHChannel):
    name = b"forwarded-tcpip"

    def dataReceived(self, data):
        self.write(data)

    # It has EOF, but no way to send one and go on: CLOSE is what it answers.
    def eofReceived(self):
        self.loseConnection()


class Command(channel.SSHChannel):
    """A session that runs a command, or a forwarded port; sends `sent` first."""

    def __init__(self, name, command=None, extra=b"", sent=b"", terminal=False):
        super().__init__()
        self.name = name
        self.command, self.extra, self.sent, self.terminal = command, extra, sent, terminal
        self.out = self.err = b""
        self.status = None
        self.ended = defer.Deferred()

    def channelOpen(self, _):
        if self.terminal:
            request = session.packRequest_pty_req(b"xterm", (25, 81, 0, 0), b"")
            self.conn.sendRequest(self, b"pty-req", request)
        if self.command:
            self.conn.sendRequest(self, b"exec", common.NS(self.command))
        if self.sent:
            self.write(self.sent)
            # EOF goes out at once, and data that waits for the window would come behind it.
            self.pending = task.LoopingCall(self.send_eof)
            self.pending.start(0.02)

    def send_eof(self):
        if not self.buf:
            self.pending.stop()
            self.conn.sendEOF(self)

    def openFailed(self, reason):
        self.ended.errback(reason)

    def dataReceived(self, data):
        self.out += data

    def extReceived(self, _, data):
        self.err += data

    def request_exit_status(self, data):
        (self.status,) = struct.unpack(">L", data)

    def closed(self):
        self.ended.callback(self)


@defer.inlineCallbacks
def runs(conn, command, out, err, status, **how):
    ran = Command(b"session", command, **how)
    conn.openChannel(ran)
    yield ran.ended
    assert (ran.out, ran.err, ran.status) == (out, err, status), (command, len(ran.out), ran.err, ran.status)


@defer.inlineCallbacks
def server():
    global step
    conn = yield dial()
    done("key")
    step = "exec"
    yield runs(conn, b"echo hello", b"hello\n", b"", 0)
    done(step)
    step = "status"
    yield runs(conn, b"fail 7", b"", b"as you wish\n", 7)
    done(step)
    step = "cat"
    sent = pattern(2 * 1024 * 1024)
    yield runs(conn, b"cat", sent, b"", 0, sent=sent)
    done(step)
    step = "idle"
    yield task.deferLater(reactor, int(env["IDLE"]))
    yield runs(conn, b"echo again", b"again\n", b"", 0)
    done(step)
    step = "password"
    conn = yield dial(env["TARGET_PASSWORD"])
    yield runs(conn, b"echo in", b"in\n", b"", 0)
    done(step)


@defer.inlineCallbacks
def consume():
    global step
    conn = yield dial()
    extra = forwarding.packOpen_direct_tcpip((env["PEER"].encode(), int(env["LINE"])), ("127.0.0.1", 4000))

    @defer.inlineCallbacks
    def call(sent):
        circuit = Command(b"direct-tcpip", sent=sent)
        conn.openChannel(circuit, extra)
        yield circuit.ended
        assert circuit.out == sent, f"{len(circuit.out)} of {len(sent)} bytes, or others"

    step = "half-close"
    yield call(pattern(300000))
    done(step)
    step = "close"
    given_up = Command(b"direct-tcpip")
    conn.openChannel(given_up, extra)
    yield task.deferLater(reactor, 0.3)
    given_up.write(b"so long")
    given_up.loseConnection()
    yield call(pattern(300000))
    done(step)


@defer.inlineCallbacks
def provide():
    global step
    step = "plugged"
    conn = yield dial()
    yield conn.sendGlobalRequest(b"tcpip-forward", forwarding.packGlobal_tcpip_forward(("0.0.0.0", int(env["LINE"]))), 1)
    done(step)
    yield defer.Deferred()


@defer.inlineCallbacks
def once():
    global step
    conn = yield dial()
    step = "pty"
    yield runs(conn, b"stty size; exit 3", b"25 81\r\n", b"", 3, terminal=True)
    done(step)


def fail(reason):
    print(json.dumps({"step": step, "ok": False, "error": str(reason)}), flush=True)
    end(1)


mode = {"server": server, "consume": consume, "provide": provide, "once": once}[sys.argv[1]]
reactor.callWhenRunning(lambda: mode().addCallbacks(lambda _: end(0), fail))
reactor.run()
