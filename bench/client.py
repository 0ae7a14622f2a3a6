"""A small HTTP client that keeps to a pace, which wrk cannot.

One thread, connections that stay open unless the server closes them. With a rate, request *n* is due at `n / rate`, whether or not earlier
ones were answered, and its answer time counts from then: a server that stalls is not spared the requests
that had to wait (no coordinated omission). Without a rate every connection sends as soon as it may.
"""

from __future__ import annotations

import gc
import re
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.payload import TOKEN

CONNECTIONS = 64
_GIVE_UP_SECONDS = 30.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass
class Played:
    """What became of a sequence of requests. Answer times and lags are in seconds.

    `lags`: how late the client itself was; they are part of the answer times.
    """

    answers: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    failures: int = 0
    seconds: float = 0.0


@dataclass
class _Line:
    """A connection and the request that is under way on it."""

    port: int
    socket: socket.socket = field(init=False)
    since: float = 0.0
    got: bytes = b""
    closing: bool = False

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=_GIVE_UP_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got = b""

    def read(self) -> int:
        """What has arrived: the status of a whole answer, else 0. Raises OSError when the line is dead."""
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionResetError("closed by the server")
        self.got += part
        head, end, body = self.got.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return 0
        self.got = b""
        self.closing = _CLOSES.search(head) is not None
        return int(head[9:12])


def http_post(path: str, body: bytes, *, token: str = TOKEN) -> bytes:
    """A whole request, head and body. An empty token is not sent."""
    allowed = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{allowed}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def play(
    port: int, requests: Sequence[bytes], rate: float | None = None, connections: int = CONNECTIONS
) -> Played:
    """Send requests, at `rate` a second or as fast as answers come, and wait for every answer."""
    lines = [_Line(port) for _ in range(connections)]
    gc.collect()
    gc.disable()  # a pause of ours would count as one of the server
    try:
        return _Play(lines, requests, rate).run()
    finally:
        gc.enable()
        for line in lines:
            line.socket.close()


class _Play:
    """The loop: send what is due, read what has come."""

    def __init__(self, lines: list[_Line], requests: Sequence[bytes], rate: float | None) -> None:
        self._requests = requests
        self._every = 1 / rate if rate else 0.0
        self._poll = select.epoll()
        self._lines = {line.socket.fileno(): line for line in lines}
        for number in self._lines:
            self._poll.register(number, select.EPOLLIN)
        self._idle = deque(lines)
        self._free_since = 0.0  # when the last line that all waited for came back
        self._sent = 0
        self._played = Played()

    def run(self) -> Played:
        start = last = time.perf_counter()
        total = len(self._requests)
        while len(self._played.answers) + self._played.failures < total:
            self._send(start)
            for number, _ in self._poll.poll(self._pause(start)):
                last = time.perf_counter()
                self._read(self._lines[number], last)
            if time.perf_counter() - last > _GIVE_UP_SECONDS:
                self._played.failures = total - len(self._played.answers)
        self._poll.close()
        self._played.seconds = last - start
        return self._played

    def _pause(self, start: float) -> float:
        """Until the next request is due, when there is a free line for it."""
        if not self._idle or self._sent == len(self._requests):
            return 1.0
        return max(0.0, start + self._sent * self._every - time.perf_counter())

    def _send(self, start: float) -> None:
        while self._idle and self._sent < len(self._requests):
            now = time.perf_counter()
            due = start + self._sent * self._every if self._every else now
            if due > now:
                return
            line = self._idle.popleft()
            line.since = due
            # As long as every line was busy the wait was the server's; after that the client's.
            self._played.lags.append(now - max(due, self._free_since))
            self._sent += 1
            try:
                line.socket.sendall(self._requests[self._sent - 1])
            except OSError:
                self._failed(line)

    def _read(self, line: _Line, now: float) -> None:
        try:
            status = line.read()
        except OSError:
            self._failed(line)
            return
        if status == 0:
            return
        if 200 <= status < 300:
            self._played.answers.append(now - line.since)
        else:
            self._played.failures += 1
        if line.closing:
            self._again(line)
        self._free(line, now)

    def _failed(self, line: _Line) -> None:
        """The line died under a request."""
        self._played.failures += 1
        self._again(line)
        self._free(line, time.perf_counter())

    def _free(self, line: _Line, now: float) -> None:
        if not self._idle:
            self._free_since = now
        self._idle.append(line)

    def _again(self, line: _Line) -> None:
        self._lines.pop(line.socket.fileno())
        line.socket.close()
        line.open()
        self._lines[line.socket.fileno()] = line
        self._poll.register(line.socket.fileno(), select.EPOLLIN)


def percentile(values: Sequence[float], part: float) -> float:
    """The value that `part` (0 to 1) of the values do not exceed; the nearest one there is."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")
