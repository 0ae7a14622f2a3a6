"""The other end of a webhook channel: answers 204 and writes down when each message came, one JSON line each.

`python -m bench.receiver PORT FILE`. The moments are of the monotonic clock, which all processes of a
machine share. It is a process of its own, so that no load generator delays what it notes.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path
from typing import TextIO

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


async def _serve(port: int, out: TextIO) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                if body:
                    out.write(json.dumps({"at": time.monotonic(), "message": json.loads(body)}) + "\n")
                    out.flush()
                writer.write(_ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with Path(sys.argv[2]).open("a", encoding="utf-8") as file:
        asyncio.run(_serve(int(sys.argv[1]), file))
