"""No call reaches an internal address that was not opened, however its address is written."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from bridge import egress
from bridge.delivery import DeliveryError, MailServer, Outbound
from tests.servers.http import Server, says
from tests.servers.loopback import LOOPBACK, outbound

# Every spelling of loopback, of other internal networks, and of clouds' own addresses.
CLOSED_HOSTS = [
    *(
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "127.1",
        "127.0.1",
        "127.255.255.254",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
    ),
    *("0177.0.0.1", "0177.1", "017700000001", "①②⑦.0.0.1", "127。0。0。1", "0", "0x0", "00000177.0x0.0.1"),
    *(
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
    ),
    *(
        "100.100.100.200",
        "192.0.0.192",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "192.0.2.1",
        "224.0.0.1",
    ),
    *("240.0.0.1", "255.255.255.255", "192.88.99.1", "2852039166", "0xa9fea9fe"),
    *(
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[::a00:1]",
    ),
    *(
        "[64:ff9b::7f00:1]",
        "[64:ff9b::169.254.169.254]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2002:a9fe:a9fe::1]",
    ),
    *("[2001:0:4136:e378:8000:63bf:80ff:fffe]", "[fec0::1]", "[fe80::1]", "[fe80::1%25lo]", "[fc00::1]"),
    *(
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[100::1]",
        "[::ffff:0:127.0.0.1]",
        "[3fff::1]",
        "[2001:2::1]",
    ),
]
TRICKS = [
    *(
        "http://ok.example:pw@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}\\@ok.example/",
        "http://127.0.0.1:{port}#@x/",
    ),
    *("http://127.0.0.1:{port}?@ok.example/", "http://127.0.0.1\t:{port}/", "http://127.0\n.0.1:{port}/"),
    *("http:127.0.0.1:{port}", "http:/127.0.0.1:{port}/", "http:///127.0.0.1:{port}/", "//127.0.0.1:{port}/"),
    *("HTTP://LOCALHOST:{port}/", " http://127.0.0.1:{port}/", "http://127.0.0.1%00.ok.example:{port}/"),
    *("http://127.0.0.1.:{port}/", "http://localhost.:{port}/", "http://%31%32%37.0.0.1:{port}/"),
    *("https://127.0.0.1:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://①②⑦.⓪.⓪.①:{port}/"),
    *("http://127.0.0.1\x00:{port}/", "http://\x00127.0.0.1:{port}/", "http://127.0.0.1\ud800:{port}/"),
]
SCHEMES = [
    *(
        "file:///etc/passwd",
        "file://127.0.0.1/etc/passwd",
        "gopher://127.0.0.1:{port}/_x",
        "dict://127.0.0.1:{port}/x",
    ),
    *("ftp://127.0.0.1:{port}/", "unix:///run/x.sock", "http+unix://%2Frun%2Fx.sock/", "smb://127.0.0.1/x"),
    *(
        "jar:http://127.0.0.1:{port}/!x",
        "ldap://127.0.0.1:{port}/",
        "data:text/plain,x",
        "javascript:alert(1)",
    ),
    *(
        "ws://127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "127.0.0.1:{port}",
        "",
        "http:",
        "http://",
        "https:///x",
    ),
]


@pytest.fixture
def canary() -> Iterator[Server]:
    with Server() as server:
        yield server
        assert server.connections == 0


def refused(url: str, caller: Outbound | None = None) -> DeliveryError:
    caller = caller or Outbound(connect_seconds=0.5, total_seconds=1)
    with pytest.raises(DeliveryError) as caught:
        caller.call("POST", url, json={"a": 1})
    return caught.value


@pytest.mark.parametrize("host", CLOSED_HOSTS)
def test_no_spelling_reaches_an_internal_address(host: str, canary: Server) -> None:
    error = refused(f"http://{host}:{canary.port}/x")
    assert not error.unknown
    assert "internal address" in str(error) or "no such host" in str(error) or "cannot be sent" in str(error)


@pytest.mark.parametrize("url", TRICKS, ids=ascii)
def test_no_trick_reaches_an_internal_address(url: str, canary: Server) -> None:
    assert not refused(url.format(port=canary.port)).unknown


@pytest.mark.parametrize("url", SCHEMES)
def test_only_http_goes_out(url: str, canary: Server) -> None:
    error = refused(url.format(port=canary.port), outbound())
    assert (error.retry, error.unknown) == (False, False)


def test_there_are_enough_forms() -> None:
    assert len(CLOSED_HOSTS) + len(TRICKS) + len(SCHEMES) >= 80


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"]
)
def test_a_wrapped_address_is_judged_by_what_is_inside(address: str) -> None:
    assert not egress.allowed(ipaddress.ip_address(address), ())
    assert egress.allowed(ipaddress.ip_address(address), LOOPBACK)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "172.32.0.1",
        "100.128.0.1",
        "2606:4700::1111",
        "2a00:1450::1",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ],
)
def test_public_addresses_are_open(address: str) -> None:
    assert egress.allowed(ipaddress.ip_address(address), ())


def test_an_opened_network_opens_nothing_else() -> None:
    allow = [ipaddress.ip_network("10.1.0.0/16")]
    assert egress.allowed(ipaddress.ip_address("10.1.2.3"), allow)
    assert egress.allowed(ipaddress.ip_address("::ffff:10.1.2.3"), allow)
    assert not egress.allowed(ipaddress.ip_address("10.2.0.1"), allow)
    assert not egress.allowed(ipaddress.ip_address("127.0.0.1"), allow)


def test_what_is_opened_is_reached() -> None:
    with Server(says(200, b"hello")) as server:
        for url in (server.url, f"http://localhost:{server.port}", f"http://127.1:{server.port}"):
            assert outbound().call("GET", url).body == b"hello"


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
    """Names resolve to these, one list for each question; the last stays."""
    left = list(answers)

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        found = left.pop(0) if len(left) > 1 else left[0]
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in found]
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port, 0, 0) if ":" in address else (address, port))
            for family, address in zip(families, found, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    "found",
    [
        ["93.184.216.34", "127.0.0.1"],
        ["127.0.0.1", "93.184.216.34"],
        ["93.184.216.34", "::1"],
        ["2606:4700::1111", "10.0.0.1"],
    ],
    ids=str,
)
def test_one_internal_answer_among_public_ones_refuses_them_all(
    found: list[str], canary: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, where: tried.append(where))
    resolving(monkeypatch, found)
    assert "internal address" in str(refused(f"http://mixed.test:{canary.port}/"))
    assert tried == []


def test_a_name_that_changes_its_mind_is_judged_at_each_connection(
    canary: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def connect(_: socket.socket, where: Any) -> None:
        asked.append(where)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    resolving(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    caller = Outbound()
    refused(f"http://rebind.test:{canary.port}/", caller)
    assert asked == [("93.184.216.34", canary.port)]
    assert "internal address" in str(refused(f"http://rebind.test:{canary.port}/", caller))
    assert len(asked) == 1


def test_the_next_address_is_tried_when_one_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as server:
        resolving(monkeypatch, ["127.0.0.9", "127.0.0.1"])
        assert outbound().call("GET", f"http://two.test:{server.port}/").status == 200


def test_mail_goes_by_the_same_rules(canary: Server) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"] = "a@bridge.test", "b@acme.test"
    for host in ("127.0.0.1", "localhost", "2130706433", "a" * 64 + ".test", "x\x00y"):
        with pytest.raises(DeliveryError) as caught:
            Outbound().mail(mail, MailServer(host, canary.port, "none"))
        assert not caught.value.unknown
    with pytest.raises(DeliveryError):
        Outbound().mail(mail, MailServer("127.0.0.1", 99_999, "none"))


def test_proxies_and_netrc_of_the_environment_are_ignored(
    canary: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, canary.url)
        monkeypatch.setenv(name.upper(), canary.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    (tmp_path / ".netrc").write_text(
        "machine 127.0.0.1 login me password canary-netrc\ndefault login me password canary\n"
    )
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Server() as server:
        assert outbound().call("GET", server.url).status == 200
    (request,) = server.requests
    assert "Authorization" not in request.headers
    assert request.path == "/"
