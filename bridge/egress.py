"""Which addresses outgoing calls may reach, and connections that keep to that and to their time.

The check works on the address that is connected to, never on the text of the URL: resolvers read
`127.1`, `0x7f.1` and `2130706433` as loopback while `ipaddress` calls them invalid, and a name may
resolve differently a moment later. So: resolve once, check every address, connect to a checked one.

A time-out of a socket starts anew with every byte, so a slow drip would never end. Everything read
inside `within` has one common end instead.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import ipaddress
import math
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import urllib3
import urllib3.connection
import urllib3.exceptions
from requests.adapters import HTTPAdapter

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CONNECT_SECONDS = 5.0
# The longest answer of a mail server to one command; replies may have any number of lines.
_LONGEST_REPLIES = 1024 * 1024

# IANA special-purpose registries, plus the wrappers below that `ipaddress` counts as global.
_CLOSED: tuple[Network, ...] = tuple(
    map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
            *("::/128", "::1/128", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "2001::/23"),
            *("2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
        ),
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")

_until: ContextVar[float] = ContextVar("until", default=math.inf)


class NotAllowed(OSError):
    """The name leads to an address that outgoing calls may not reach."""


class NotReached(OSError):
    """There was no connection to send anything over, so nothing can have happened at the other end."""


def allowed(address: Address, allow: Sequence[Network]) -> bool:
    """May we connect there? Internal networks only when `egress.allow` names them."""
    inner = _unwrapped(address)
    if any(inner in network for network in allow if network.version == inner.version):
        return True
    return not any(inner in network for network in _CLOSED if network.version == inner.version)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside a mapped, compatible, NAT64, 6to4 or Teredo one, else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
    if inner:
        return inner
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Connecting and reading inside this block ends with TimeoutError after so many seconds in all."""
    token = _until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


def _left(until: float, most: float | None) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time for the whole call is over")
    return min(left, most or CONNECT_SECONDS)


def connect(host: str, port: int, allow: Sequence[Network], timeout: float | None) -> socket.socket:
    """Open a TCP connection to a checked address of `host`.

    Raises NotAllowed when any address of the name is closed to us (one private answer among public
    ones is how rebinding looks), OSError when nobody answers.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (ValueError, OverflowError):
        # Too long a label, a NUL, a port beyond 65535: Python gives up before it asks anybody.
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
    for *_, where in found:
        if not allowed(ipaddress.ip_address(str(where[0]).partition("%")[0]), allow):
            raise NotAllowed(
                f"{host} leads to {where[0]}, an internal address: "
                "name its network under egress.allow if that is meant"
            )
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, where in found:
        link = socket.socket(family, kind, protocol)
        try:
            link.settimeout(_left(_until.get(), timeout))
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.connect(where)
        except (OSError, OverflowError) as error:
            link.close()
            failure = error if isinstance(error, OSError) else OSError(str(error))
        else:
            return link
    raise failure


class _Timed(io.RawIOBase):
    """What a socket says, until the time of the whole call is over or `most` bytes were read."""

    def __init__(self, link: socket.socket, most: float = math.inf) -> None:
        self._link = link
        self._raw = link.makefile("rb", buffering=0)
        self._pause = link.gettimeout()
        self._until = _until.get()
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._link.settimeout(_left(self._until, self._pause))
        size = self._raw.readinto(buffer)
        self._most -= size or 0
        if self._most < 0:
            raise OSError("the answer has no end")
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedLink:
    """As much of a socket as `http.client` wants from one to read an answer."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_Timed(self._link))


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(_TimedLink(sock), *args, **kwargs)  # type: ignore[arg-type]  # only makefile is used

    def begin(self) -> None:
        """Read the head. urllib3 would leave the connection open over a length that is none."""
        super().begin()
        if not (self.headers.get("Content-Length") or "0").strip().isdecimal():
            raise http.client.HTTPException("a Content-Length that is no number")


@contextlib.contextmanager
def _before_sending() -> Iterator[None]:
    try:
        yield
    except (OSError, urllib3.exceptions.HTTPError) as error:
        raise NotReached(str(error)) from error


class CheckedAdapter(HTTPAdapter):
    """Requests' adapter whose connections are opened by `connect`."""

    def __init__(self, allow: Sequence[Network]) -> None:
        self._allow = allow
        super().__init__(max_retries=0, pool_maxsize=16)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Called by the base class: pools that make checked connections."""
        super().init_poolmanager(*args, **kwargs)
        allow = self._allow

        def opened(connection: urllib3.connection.HTTPConnection) -> socket.socket:
            timeout = connection.timeout
            seconds = timeout if isinstance(timeout, int | float) else CONNECT_SECONDS
            return connect(connection.host, connection.port, allow, seconds)

        class Plain(urllib3.connection.HTTPConnection):
            response_class = _Response
            _new_conn = opened

            def connect(self) -> None:
                with _before_sending():
                    super().connect()

        class Tls(urllib3.connection.HTTPSConnection):
            response_class = _Response
            _new_conn = opened

            def connect(self) -> None:
                with _before_sending():
                    super().connect()

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class TlsPool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Tls

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}


class CheckedSMTP(smtplib.SMTP):
    """An SMTP client whose connection is opened by `connect`, wrapped in TLS when `tls` is given."""

    def __init__(
        self, host: str, allow: Sequence[Network], seconds: float, tls: ssl.SSLContext | None
    ) -> None:
        self._allow = allow
        self._tls = tls
        super().__init__(timeout=seconds)
        self._host = host  # starttls names the peer

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        with _before_sending():
            link = connect(host, port, self._allow, timeout)
            if self._tls is None:
                return link
            try:
                return self._tls.wrap_socket(link, server_hostname=host)
            except OSError:
                link.close()
                raise

    def getreply(self) -> tuple[int, bytes]:
        """The server's next reply, read under the time of the whole call."""
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(_Timed(self.sock, _LONGEST_REPLIES))
        return super().getreply()
