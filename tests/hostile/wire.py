"""Hostile HTTP (H-10, H-15), as bytes on a socket: what is said, and what may come of it.

The law: 200 means that everything the sender meant was read and is stored or kept; after any other answer,
or none, nothing is. One request in, one request out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.hostile.bodies import one, webhook

PATH = b"/ingest/alertmanager/main"
TOKEN = b"Authorization: Bearer secret\r\n"
HOST = b"Host: bridge.test\r\n"


@dataclass(frozen=True)
class Wire:
    """`fate`: stored, refused, or kept. `said` makes the bytes around an alert of the given name."""

    number: str
    what: str
    said: Callable[[str], bytes]
    fate: str = "stored"
    half_close: bool = False

    def __str__(self) -> str:
        return f"{self.number} {self.what}"


def body(name: str) -> bytes:
    return webhook(one(name))


def request(head: bytes, rest: bytes, method: bytes = b"POST", version: bytes = b"HTTP/1.1") -> bytes:
    return method + b" " + PATH + b" " + version + b"\r\n" + HOST + TOKEN + head + b"\r\n" + rest


def plain(name: str, head: bytes = b"", **other: bytes) -> bytes:
    return request(head + b"Content-Length: %d\r\n" % len(body(name)), body(name), **other)


def chunks(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end


def coded(coding: bytes) -> Callable[[str], bytes]:
    """The body in chunks, under these header lines."""
    return lambda name: request(coding, chunks(body(name)))


def headed(head: bytes, method: bytes = b"POST") -> Callable[[str], bytes]:
    """A request as it should be, with more header lines."""
    return lambda name: plain(name, head, method=method)


def framed(head: bytes) -> Callable[[str], bytes]:
    """The body under another statement of its length."""
    return lambda name: request(head, body(name))


def broken(parts: Callable[[bytes], bytes]) -> Callable[[str], bytes]:
    """Chunks that go wrong somewhere."""
    return lambda name: request(b"Transfer-Encoding: chunked\r\n", parts(body(name)))


def smuggled(name: str) -> bytes:
    """A length that covers a second request, and chunks that end before it."""
    inner = chunks() + plain(f"{name} smuggled")
    return request(b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(inner), inner)


def two_lengths(name: str) -> bytes:
    """A length that ends where a second request begins, and one that covers it."""
    inner = body(name) + plain(f"{name} smuggled")
    lengths = (len(body(name)), len(inner))
    return request(b"Content-Length: %d\r\nContent-Length: %d\r\n" % lengths, inner)


def short(name: str) -> bytes:
    return request(b"Content-Length: %d\r\n" % (len(body(name)) + 10), body(name))


def half(name: str) -> bytes:
    return request(b"Content-Length: %d\r\n" % len(body(name)), body(name)[:-20])


def moved(old: bytes, new: bytes, made: Callable[[str], bytes] = plain) -> Callable[[str], bytes]:
    return lambda name: made(name).replace(old, new, 1)


def same_twice(name: str) -> bytes:
    return plain(name, b"Content-Length: %d\r\n" % len(body(name)))


def extended(raw: bytes) -> bytes:
    return b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(raw), raw)


def versioned(version: bytes) -> Callable[[str], bytes]:
    return lambda name: plain(name, version=version)


_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_OVERRIDES = (b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override")
_METHODS = (b"GET", b"PUT", b"HEAD", b"TRACE", b"CONNECT", b"DELETE", b"PATCH", b"BREW")

LENGTHS = [
    Wire("H-10", "as it should be", plain),
    Wire("H-10", "chunked", coded(_CHUNKED)),
    Wire("H-10", "a chunk for each byte", broken(lambda raw: chunks(*(bytes([byte]) for byte in raw)))),
    Wire("H-10", "chunks with extensions", broken(extended)),
    Wire("H-10", "chunks with a trailer", broken(lambda raw: chunks(raw, end=b"0\r\nX-A: b\r\n\r\n"))),
    Wire("H-10", "the same length twice", same_twice),
    Wire("H-10", "two lengths", two_lengths, "refused"),
    Wire("H-10", "a list of lengths", framed(b"Content-Length: 5, 7\r\n"), "refused"),
    Wire("H-10", "length and chunks", smuggled, "refused"),
    Wire("H-10", "chunks and a short length", coded(b"Content-Length: 4\r\n" + _CHUNKED)),
    Wire("H-10", "no length", framed(b""), "kept"),
    Wire("H-10", "a negative length", framed(b"Content-Length: -1\r\n"), "refused"),
    Wire("H-10", "a length with a sign", framed(b"Content-Length: +7\r\n"), "refused"),
    Wire("H-10", "a length in words", framed(b"Content-Length: all\r\n"), "refused"),
    Wire("H-10", "a length of 30 digits", framed(b"Content-Length: " + b"9" * 30 + b"\r\n"), "refused"),
    Wire("H-10", "a length over the limit", framed(b"Content-Length: 1000000000\r\n"), "refused"),
    Wire("H-10", "an unknown coding", coded(b"Transfer-Encoding: xchunked\r\n"), "refused"),
    Wire("H-10", "chunked and then something", coded(b"Transfer-Encoding: chunked, x\r\n"), "refused"),
    Wire("H-10", "two codings", coded(_CHUNKED + b"Transfer-Encoding: x\r\n"), "refused"),
    Wire("H-10", "a blank before the colon", coded(b"Transfer-Encoding : chunked\r\n"), "refused"),
    Wire("H-10", "a first chunk without a size", broken(lambda raw: b"zz\r\n" + raw), "refused"),
    Wire(
        "H-10",
        "a second chunk without a size",
        broken(lambda raw: chunks(raw[:50], end=b"zz\r\n" + raw[50:])),
        "refused",
    ),
    Wire("H-10", "a chunk of 2^68 bytes", broken(lambda raw: b"f" * 17 + b"\r\n" + raw), "refused"),
    # The server hides that the last chunk is missing; what came is a whole webhook, so nothing is lost.
    Wire("H-10", "chunks that stop", broken(lambda raw: chunks(raw, end=b"")), half_close=True),
    Wire(
        "H-10",
        "chunks that stop inside the body",
        broken(lambda raw: chunks(raw[:50], end=b"")),
        "refused",
        half_close=True,
    ),
    Wire("H-10", "a body that ends early", short, "refused", half_close=True),
    Wire("H-10", "half a body", half, "refused", half_close=True),
]

FORMS = [
    Wire("H-10", "HTTP/1.0", versioned(b"HTTP/1.0")),
    Wire("H-10", "HTTP/1.0 without a length", moved(b"HTTP/1.1", b"HTTP/1.0", framed(b"")), "kept"),
    Wire("H-10", "HTTP/0.9", moved(b" HTTP/1.1", b"", framed(b"")), "refused"),
    Wire("H-10", "HTTP/3.0", versioned(b"HTTP/3.0"), "refused"),
    Wire("H-10", "Expect: 100-continue", headed(b"Expect: 100-continue\r\n")),
    Wire("H-10", "Expect something else", headed(b"Expect: 200-ok\r\n")),
    Wire("H-10", "lines without CR", lambda name: plain(name).replace(b"\r\n", b"\n")),
    Wire("H-10", "a folded header", headed(b"X-A: 1\r\n 2\r\n"), "refused"),
    Wire("H-10", "NUL in a header", headed(b"X-A: a\0b\r\n"), "refused"),
    Wire("H-10", "bytes in a header", headed(b"X-A: \xff\xfe\xc3\r\n")),
    Wire("H-10", "no host", moved(HOST, b"")),
    Wire("H-10", "a hostile host", moved(HOST, b"Host: <script>\"'\r\n")),
    Wire("H-10", "a header of 100 kB", headed(b"X-A: " + b"a" * 100_000 + b"\r\n")),
    Wire("H-10", "a header of 1 MB", headed(b"X-A: " + b"a" * 2**20 + b"\r\n"), "refused"),
    Wire("H-10", "10,000 headers", headed(b"X-A: a\r\n" * 10_000), "refused"),
    Wire("H-10", "an absolute address", moved(PATH, b"http://elsewhere.test" + PATH)),
    Wire("H-10", "more than was announced", lambda name: plain(name) + b"garbage\r\n\r\n"),
    Wire("H-10", "TLS", lambda name: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), "refused"),
    Wire("H-10", "every byte", lambda name: bytes(range(256)) * 10, "refused"),
    Wire("H-10", "a path of 100 kB", moved(PATH, PATH + b"a" * 100_000), "refused"),
    Wire("H-10", "a path with dots", moved(PATH, b"/x/.." + PATH), "refused"),
    Wire("H-10", "a path with doubled slashes", moved(PATH, PATH.replace(b"/", b"//")), "refused"),
    Wire("H-10", "a path with a last slash", moved(PATH, PATH + b"/"), "refused"),
    Wire("H-10", "a path with bytes", moved(PATH, b"/ingest/alertmanager/%00%ff"), "refused"),
    *(Wire("H-15", f"method {name.decode()}", moved(b"POST", name), "refused") for name in _METHODS),
    *(Wire("H-15", f"{name.decode()} on POST", headed(name + b": GET\r\n")) for name in _OVERRIDES),
    *(
        Wire("H-15", f"{name.decode()} on GET", headed(name + b": POST\r\n", b"GET"), "refused")
        for name in _OVERRIDES
    ),
]
