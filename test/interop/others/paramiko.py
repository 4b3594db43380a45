# paramiko as a client: one mode a run ("server", "consume", "provide", "once"), one line of JSON a step. See others-clients.test.ts.
import json
import os
import sys
import threading
import time

import paramiko

env = os.environ
step = "start"


def done(name):
    print(json.dumps({"step": name, "ok": True}), flush=True)


def pattern(size):
    return bytes((i * 31 + (i >> 8)) & 255 for i in range(size))


def dial(**how):
    client = paramiko.SSHClient()
    client.load_host_keys(env["TARGET_KNOWN"])
    client.connect(
        env["TARGET_HOST"], int(env["TARGET_PORT"]), env["TARGET_USER"], allow_agent=False, look_for_keys=False, **how
    )
    return client


def runs(client, command, out, err, status):
    _, stdout, stderr = client.exec_command(command)
    assert (stdout.read(), stderr.read()) == (out, err), command
    assert stdout.channel.recv_exit_status() == status, command


def echoes(channel, size):
    sent = pattern(size)

    def send():
        channel.sendall(sent)
        channel.shutdown_write()

    threading.Thread(target=send).start()
    got = b""
    while piece := channel.recv(65536):
        got += piece
    assert got == sent, f"{len(got)} of {size} bytes, or others"


def server():
    global step
    client = dial(key_filename=env["TARGET_KEY"])
    done("key")
    step = "exec"
    runs(client, "echo hello", b"hello\n", b"", 0)
    done(step)
    step = "status"
    runs(client, "fail 7", b"", b"as you wish\n", 7)
    done(step)
    step = "cat"
    channel = client.get_transport().open_session()
    channel.exec_command("cat")
    echoes(channel, 2 * 1024 * 1024)
    assert channel.recv_exit_status() == 0
    done(step)
    step = "idle"
    time.sleep(int(env["IDLE"]))
    runs(client, "echo again", b"again\n", b"", 0)
    client.close()
    done(step)
    step = "password"
    client = dial(password=env["TARGET_PASSWORD"])
    runs(client, "echo in", b"in\n", b"", 0)
    client.close()
    done(step)


def consume():
    global step
    client = dial(key_filename=env["TARGET_KEY"])
    transport = client.get_transport()

    def call():
        return transport.open_channel("direct-tcpip", (env["PEER"], int(env["LINE"])), ("127.0.0.1", 4000))

    step = "half-close"
    echoes(call(), 300000)
    done(step)
    step = "close"
    given_up = call()
    given_up.sendall(b"so long")
    given_up.close()
    echoes(call(), 300000)
    done(step)
    client.close()


def provide():
    global step
    step = "plugged"
    transport = dial(key_filename=env["TARGET_KEY"]).get_transport()

    def serve(channel):
        while piece := channel.recv(65536):
            channel.sendall(piece)
        channel.shutdown_write()
        channel.close()

    def opened(channel, _origin, _server):
        threading.Thread(target=serve, args=(channel,), daemon=True).start()

    transport.request_port_forward("", int(env["LINE"]), opened)
    done(step)
    transport.join()


def once():
    global step
    client = dial(key_filename=env["TARGET_KEY"])
    step = "pty"
    channel = client.get_transport().open_session()
    channel.get_pty("xterm", 81, 25)
    channel.exec_command("stty size; exit 3")
    out = b""
    while piece := channel.recv(4096):
        out += piece
    assert b"25 81" in out, out
    assert channel.recv_exit_status() == 3
    client.close()
    done(step)


try:
    {"server": server, "consume": consume, "provide": provide, "once": once}[sys.argv[1]]()
except BaseException as error:
    print(json.dumps({"step": step, "ok": False, "error": repr(error)}), flush=True)
    raise
