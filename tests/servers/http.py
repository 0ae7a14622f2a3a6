"""A real HTTP server on loopback that behaves as badly as a test asks it to."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Exchange:
    """One request and the means to answer it, or not to."""

    def __init__(self, request: Request, link: socket.socket, over: threading.Event) -> None:
        self.request = request
        self.link = link
        self._over = over
        self.keep = False

    def send(self, data: bytes) -> None:
        self.link.sendall(data)

    def pause(self, seconds: float) -> None:
        """Wait, but never longer than the server lives."""
        self._over.wait(seconds)


Behaviour = Callable[[Exchange], None]


def head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def says(status: int = 200, body: Any = b"", headers: Mapping[str, str] | None = None) -> Behaviour:
    """An ordinary answer; anything but bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    def behave(exchange: Exchange) -> None:
        exchange.send(head(status, {"Content-Length": str(len(raw)), **(headers or {})}) + raw)
        exchange.keep = True

    return behave


def hangs(seconds: float = 60.0) -> Behaviour:
    return lambda exchange: exchange.pause(seconds)


def resets(before: bytes = b"") -> Behaviour:
    """Takes the request, says `before`, and tears the connection down."""

    def behave(exchange: Exchange) -> None:
        if before:
            exchange.send(before)
            exchange.pause(0.05)
        exchange.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return behave


def speaks(data: bytes) -> Behaviour:
    """Exactly these bytes, then the end of the connection."""
    return lambda exchange: exchange.send(data)


def drips(first: bytes, drop: bytes = b"x", gap: float = 0.05, drops: int = 10_000) -> Behaviour:
    """Says `first`, then one drop after the other: no single wait is ever long."""

    def behave(exchange: Exchange) -> None:
        exchange.send(first)
        for _ in range(drops):
            exchange.send(drop)
            exchange.pause(gap)

    return behave


def floods(size: int, status: int = 200, headers: Mapping[str, str] | None = None) -> Behaviour:
    """A body of `size` bytes, as fast as they are taken."""

    def behave(exchange: Exchange) -> None:
        exchange.send(head(status, {"Content-Length": str(size), **(headers or {})}))
        part = b"y" * 65536
        for _ in range(size // len(part) + 1):
            exchange.send(part)

    return behave


def gzip_bomb(size: int) -> Behaviour:
    raw = gzip.compress(b"0" * size)
    return says(200, raw, {"Content-Encoding": "gzip"})


class Server:
    """Answers by `behaviour`: one for all requests, or one after the other (the last stays)."""

    def __init__(self, *behaviours: Behaviour, host: str = "127.0.0.1") -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self._behaviours = list(behaviours) or [says()]
        self._over = threading.Event()
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def parse_request(self) -> bool:
                if not super().parse_request():
                    return False
                size = int(self.headers.get("Content-Length") or 0)
                request = Request(self.command, self.path, dict(self.headers), self.rfile.read(size))
                exchange = Exchange(request, self.connection, owner._over)
                with contextlib.suppress(OSError):
                    owner._next(request)(exchange)
                self.close_connection = not exchange.keep
                return False

            def log_message(self, *_: Any) -> None:
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def process_request(self, *args: Any) -> None:
                owner.connections += 1
                super().process_request(*args)

            def handle_error(self, *_: Any) -> None:
                pass

            def shutdown_request(self, request: Any) -> None:
                # Plain close: a shutdown first would turn a reset into an orderly end.
                request.close()

        self._listener = Listener((host, 0), Handler)
        self.port: int = self._listener.server_address[1]
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True)

    def behave(self, *behaviours: Behaviour) -> None:
        with self._lock:
            self._behaviours = list(behaviours)

    def _next(self, request: Request) -> Behaviour:
        with self._lock:
            self.requests.append(request)
            return self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join(5)


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def bodies(requests: Iterable[Request]) -> list[Any]:
    return [request.json for request in requests]
