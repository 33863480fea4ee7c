"""The echo servers that pync is compared with: `asyncio_echo.py streams|protocol|uvloop PORT`.

Each as its documentation shows it, with the backlog that the others have too. Nothing else belongs here:
the memory of these processes is measured.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

HOST = "127.0.0.1"
BACKLOG = 4096


async def serve_streams(port: int) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, HOST, port, backlog=BACKLOG)
    await server.serve_forever()


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def serve_protocol(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Echo, HOST, port, backlog=BACKLOG)
    await server.serve_forever()


def main() -> None:
    kind, port = sys.argv[1], int(sys.argv[2])
    if kind == "uvloop":
        import uvloop

        uvloop.run(serve_protocol(port))
    asyncio.run(serve_streams(port) if kind == "streams" else serve_protocol(port))


main()
