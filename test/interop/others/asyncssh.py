# AsyncSSH as a client: one mode a run ("server", "consume", "provide", "once"), one line of JSON a step. See others-clients.test.ts.
import asyncio
import json
import os
import sys

import asyncssh

env = os.environ
step = "start"


def done(name):
    print(json.dumps({"step": name, "ok": True}), flush=True)


def pattern(size):
    return bytes((i * 31 + (i >> 8)) & 255 for i in range(size))


def dial(**how):
    return asyncssh.connect(
        env["TARGET_HOST"],
        int(env["TARGET_PORT"]),
        username=env["TARGET_USER"],
        known_hosts=env["TARGET_KNOWN"],
        agent_path=None,
        config=None,
        **how,
    )


def with_key():
    return dial(client_keys=[env["TARGET_KEY"]])


async def runs(connection, command, out, err, status):
    result = await connection.run(command)
    assert (result.stdout, result.stderr, result.exit_status) == (out, err, status), result


async def echoes(reader, writer, size):
    sent = pattern(size)

    async def send():
        writer.write(sent)
        await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    got = await reader.read()
    await sending
    assert got == sent, f"{len(got)} of {size} bytes, or others"


async def server():
    global step
    async with with_key() as connection:
        done("key")
        step = "exec"
        await runs(connection, "echo hello", "hello\n", "", 0)
        done(step)
        step = "status"
        await runs(connection, "fail 7", "", "as you wish\n", 7)
        done(step)
        step = "cat"
        process = await connection.create_process("cat", encoding=None)
        await echoes(process.stdout, process.stdin, 2 * 1024 * 1024)
        await process.wait()
        assert process.exit_status == 0
        done(step)
        step = "idle"
        await asyncio.sleep(int(env["IDLE"]))
        await runs(connection, "echo again", "again\n", "", 0)
        done(step)
    step = "password"
    async with dial(password=env["TARGET_PASSWORD"], client_keys=None) as connection:
        await runs(connection, "echo in", "in\n", "", 0)
        done(step)


async def consume():
    global step
    async with with_key() as connection:

        async def call():
            return await connection.open_connection(env["PEER"], int(env["LINE"]))

        step = "half-close"
        await echoes(*await call(), 300000)
        done(step)
        step = "close"
        _, writer = await call()
        writer.write(b"so long")
        writer.close()
        await echoes(*await call(), 300000)
        done(step)


async def provide():
    global step
    step = "plugged"
    async with with_key() as connection:

        async def echo(reader, writer):
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
            writer.close()

        await connection.start_server(lambda *_: echo, "", int(env["LINE"]))
        done(step)
        await connection.wait_closed()


async def once():
    global step
    async with with_key() as connection:
        step = "pty"
        result = await connection.run("stty size; exit 3", term_type="xterm", term_size=(81, 25))
        assert "25 81" in result.stdout and result.exit_status == 3, result
        done(step)


try:
    asyncio.run({"server": server, "consume": consume, "provide": provide, "once": once}[sys.argv[1]]())
except BaseException as error:
    print(json.dumps({"step": step, "ok": False, "error": repr(error)}), flush=True)
    raise
