"""The smallest HTTP server that can also misbehave: one function answers every request."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
MAX_BODY = 16 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """Header names are lower case; the path comes without its query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    peer: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`dropped` closes the connection without a word, as a crashing server does."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    dropped: bool = False


Respond = Callable[[Request], Answer]


class Listener:
    """Serves `respond` on its own threads; a port of 0 takes a free one and keeps it over restarts.

    It speaks HTTP/1.0, one request a connection, so nothing goes on being answered after `stop`.
    """

    def __init__(self, respond: Respond, host: str = LOOPBACK, port: int = 0) -> None:
        self.host = host
        self.port = port
        self._respond = respond
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Take the port and answer requests."""
        if self._server is not None:
            return
        self._server = _Server((self.host, self.port), _handler(self._respond))
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(0.05,),
            name=f"listener-{self.port}",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Let go of the port; answers under way are not waited for."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._server = self._thread = None


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 (not ours to choose)
        log.error("request of %s failed", client_address, exc_info=sys.exception())


def _handler(respond: Respond) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_GET(self) -> None:
            _serve(self, respond)

        def do_POST(self) -> None:
            _serve(self, respond)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the library)
            log.debug(format, *args)

    return Handler


def _serve(handler: BaseHTTPRequestHandler, respond: Respond) -> None:
    length = handler.headers.get("Content-Length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY:
        _write(handler, Answer(413, b'{"error": "body too large or without a length"}'))
        return
    answer = respond(
        Request(
            method=handler.command,
            path=handler.path.partition("?")[0],
            headers={name.lower(): value for name, value in handler.headers.items()},
            body=handler.rfile.read(int(length)),
            peer=str(handler.client_address[0]),
        )
    )
    # A caller that has hung up meanwhile is no error of ours.
    with contextlib.suppress(ConnectionError):
        if answer.dropped:
            handler.connection.shutdown(socket.SHUT_RDWR)
        else:
            _write(handler, answer)


def _write(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    handler.send_response(answer.status)
    handler.send_header("Content-Type", answer.content_type)
    handler.send_header("Content-Length", str(len(answer.body)))
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(answer.body)
