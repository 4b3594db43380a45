"""A server of Twisted Conch: HOSTKEY USER PASSWORD AUTHORIZED_KEYS; prints "listening PORT"."""

import struct
import sys

from twisted.conch import avatar, error, interfaces
from twisted.conch.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from twisted.conch.ssh import common, factory, forwarding, keys, session
from twisted.cred import checkers, portal
from twisted.internet import protocol, reactor
from twisted.python import components
from zope.interface import implementer

HOST_KEY, USER, PASSWORD, AUTHORIZED = sys.argv[1:]


class User(avatar.ConchUser):
    """As twisted.conch.unix has it, without changing to an account of the system."""

    def __init__(self):
        super().__init__()
        self.listeners = {}
        self.channelLookup.update(
            {b"session": session.SSHSession, b"direct-tcpip": forwarding.openConnectForwardingClient}
        )

    def global_tcpip_forward(self, data):
        host, port = forwarding.unpackGlobal_tcpip_forward(data)
        listener = reactor.listenTCP(
            port,
            forwarding.SSHListenForwardingFactory(self.conn, (host, port), forwarding.SSHListenServerForwardingChannel),
            interface=host,
        )
        actual = listener.getHost().port
        listener.factory.hostport = (host, actual)
        self.listeners[(host, actual)] = listener
        return (1, struct.pack(">L", actual)) if port == 0 else 1

    def global_cancel_tcpip_forward(self, data):
        listener = self.listeners.pop(forwarding.unpackGlobal_tcpip_forward(data), None)
        if listener is None:
            return 0
        listener.stopListening()
        return 1

    def logout(self):
        for listener in self.listeners.values():
            listener.stopListening()


@implementer(interfaces.ISession)
class Session:
    def __init__(self, user):
        self.child = None

    def getPty(self, term, size, modes):
        pass

    def windowChanged(self, size):
        pass

    def execCommand(self, proto, command):
        self.child = reactor.spawnProcess(proto, "/bin/sh", ["sh", "-c", command])

    def openShell(self, proto):
        self.child = reactor.spawnProcess(proto, "/bin/sh", ["sh"])

    def eofReceived(self):
        if self.child:
            self.child.closeStdin()

    def closed(self):
        if self.child:
            self.child.loseConnection()


components.registerAdapter(Session, User, interfaces.ISession)


@implementer(portal.IRealm)
class Realm:
    def requestAvatar(self, avatarId, mind, *wanted):
        user = User()
        return wanted[0], user, user.logout


class Factory(factory.SSHFactory):
    def __init__(self):
        key = keys.Key.fromFile(HOST_KEY)
        self.publicKeys = {key.sshType(): key.public()}
        self.privateKeys = {key.sshType(): key}
        authorized = [keys.Key.fromString(line) for line in open(AUTHORIZED, "rb")]
        passwords = checkers.InMemoryUsernamePasswordDatabaseDontUse()
        passwords.addUser(USER.encode(), PASSWORD.encode())
        self.portal = portal.Portal(
            Realm(),
            [
                SSHPublicKeyChecker(InMemorySSHKeyDB({USER.encode(): authorized})),
                passwords,
            ],
        )


port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
print("listening", port.getHost().port, flush=True)
reactor.run()
