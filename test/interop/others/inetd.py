"""Runs a program for each connection, its socket for input and output, as inetd does: PROGRAM ARGUMENT…; prints "listening PORT"."""

import socket
import subprocess
import sys

listener = socket.create_server(("127.0.0.1", 0))
print("listening", listener.getsockname()[1], flush=True)
children = []
while True:
    peer, _ = listener.accept()
    with peer:
        children.append(subprocess.Popen(sys.argv[1:], stdin=peer, stdout=peer))
    children = [child for child in children if child.poll() is None]
