"""Which addresses outgoing calls may reach.

The check works on the address that is connected to, never on the text of the URL: resolvers read
`127.1`, `0x7f.1` and `2130706433` as loopback while `ipaddress` calls them invalid, and a name may
resolve differently a moment later. So: resolve once, check every address, connect to a checked one.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# IANA special-purpose registries, plus the wrappers below that `ipaddress` counts as global.
_CLOSED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 "
        "192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 "
        "224.0.0.0/4 240.0.0.0/4 ::/128 ::1/128 100::/64 2001:db8::/32 fc00::/7 fe80::/10 "
        "fec0::/10 ff00::/8"
    ).split()
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.ip_network("::/96")


class NotAllowed(OSError):
    """The name leads to an address that outgoing calls may not reach."""


def allowed(address: Address, allow: Sequence[Network]) -> bool:
    """May we connect there? Internal networks only when `egress.allow` names them."""
    inner = _unwrapped(address)
    if any(inner in network for network in allow if network.version == inner.version):
        return True
    if isinstance(inner, ipaddress.IPv6Address) and inner in _NAT64_LOCAL:
        return False
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


def connect(host: str, port: int, allow: Sequence[Network], timeout: float | None) -> socket.socket:
    """Open a TCP connection to a checked address of `host`.

    Raises NotAllowed when any address of the name is closed to us (one private answer among public
    ones is how rebinding looks), OSError when nobody answers.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, where in found:
        if not allowed(ipaddress.ip_address(str(where[0]).partition("%")[0]), allow):
            raise NotAllowed(
                f"{host} leads to {where[0]}, an internal address: "
                "name its network under egress.allow if that is meant"
            )
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, where in found:
        link = socket.socket(family, kind, protocol)
        link.settimeout(timeout)
        try:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.connect(where)
        except OSError as error:
            link.close()
            failure = error
        else:
            return link
    raise failure
