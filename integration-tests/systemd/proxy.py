#!/usr/bin/python3
"""An HTTP proxy inside the network namespace of a machine of boot.sh: its only way to package registries.

    proxy.py PID PORT    listens on 127.0.0.1:PORT in the namespace of the process, and prints a line when it does

It ends when its standard input does.
"""

import asyncio
import ctypes
import socket
import sys
from urllib.parse import urlsplit

# Nothing else can be reached through it.
HOSTS = {"deb.debian.org", "pypi.org", "files.pythonhosted.org", "registry.npmjs.org"}
CLONE_NEWNET = 0x40000000
CHUNK = 1 << 16


def listener_inside(pid: int, port: int) -> socket.socket:
    """A socket keeps the namespace that it was created in; this process returns to its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as own, open(f"/proc/{pid}/ns/net") as machine:
        if libc.setns(machine.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        listener = socket.create_server(("127.0.0.1", port), backlog=64)
        if libc.setns(own.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    return listener


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, version = head.split(b"\r\n", 1)[0].decode().split(" ")
        url = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host, port = url.hostname or "", url.port or 80
        if host not in HOSTS:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        to_reader, to_writer = await asyncio.open_connection(host, port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            # One request each connection: the next one may be for another host.
            lines = head.split(b"\r\n")[1:-2]
            kept = [line for line in lines if not line.lower().startswith((b"connection:", b"proxy-"))]
            path = url.path + (f"?{url.query}" if url.query else "")
            first = f"{method} {path} {version}".encode()
            to_writer.write(b"\r\n".join([first, b"Connection: close", *kept, b"", b""]))
        await asyncio.gather(copy(reader, to_writer), copy(to_reader, writer))
        to_writer.close()
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as why:
        print(f"proxy: {why}", file=sys.stderr)
    finally:
        writer.close()


async def main() -> None:
    listener = listener_inside(int(sys.argv[1]), int(sys.argv[2]))
    server = await asyncio.start_server(serve, sock=listener)
    print("ready", flush=True)
    async with server:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
