"""What only a real server shows: two lengths, chunks, half a body, slow senders, and what is logged of it."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest
import requests

from bridge.web.lanes import FOR_A_SOURCE, THREADS
from tests.hostile.bodies import bomb
from tests.hostile.server import LARGEST, Server
from tests.hostile.site import SLOWEST
from tests.hostile.wire import FORMS, LENGTHS, PATH, TOKEN, Wire, body, plain, request

REFUSALS = {400, 401, 403, 404, 405, 408, 411, 413, 414, 417, 431, 501, 503, 505}
CROWD = THREADS + 72
FORM = b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
EVENT = b"POST /v2/enqueue HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
HALF = request(b"Content-Length: 1000\r\n", b"{")
SLOW = {
    "headers that do not end": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ",
    "bodies without a token": HALF.replace(TOKEN, b""),
    "sign-in forms": FORM + b"Content-Length: 1000\r\n\r\nname=a",
    "events": EVENT,
    "nothing at all": b"",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One process for all tests of this file."""
    with Server(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.mark.parametrize("wire", [*LENGTHS, *FORMS], ids=str)
def test_one_request_in_one_request_out_and_200_means_all_of_it(server: Server, wire: Wire) -> None:
    before, told = server.kept(), server.told()
    said = server.say(wire.said(str(wire)), half_close=wire.half_close)
    found, held = server.stored(), server.kept() - before
    assert server.alive
    assert said.seconds < SLOWEST
    assert f"{wire} smuggled" not in found
    if wire.fate == "stored":
        assert said.statuses[0] == 200
        assert (found.count(str(wire)), held) == (1, 0)
    elif wire.fate == "kept":
        assert said.statuses[0] == 200
        assert (found.count(str(wire)), held) == (0, 1)
        assert "BridgeQuarantine" in server.told()
    else:
        assert set(said.statuses) <= REFUSALS, said.text
        assert (found.count(str(wire)), held) == (0, 0), "refused, and yet something came of it"
        if 413 in said.statuses:
            assert server.told() - told == {"BridgeBodyTooLarge": 1}


def test_two_requests_in_one_go_are_two(server: Server) -> None:
    said = server.say(plain("first of a pipe") + plain("second of a pipe"), answers=2)
    assert said.statuses == (200, 200)
    assert {"first of a pipe", "second of a pipe"} <= set(server.stored())


def test_a_body_in_pieces_is_one_body(server: Server) -> None:
    whole = plain("in pieces", b"Expect: 100-continue\r\n")
    head, _, rest = whole.partition(b"\r\n\r\n")
    said = server.say(head[:40], head[40:] + b"\r\n\r\n", rest[:50], rest[50:], pause=0.8)
    assert said.statuses == (200,)
    assert said.seconds < SLOWEST
    assert "in pieces" in server.stored()


def test_half_a_body_and_a_lost_connection_leave_nothing(server: Server) -> None:
    before = server.kept(), server.told()
    for _ in range(5):
        with server.opened() as link:
            link.sendall(request(b"Content-Length: 1000\r\n", body("half")[:-9]))
            time.sleep(0.1)
    time.sleep(0.5)
    assert (server.kept(), server.told()) == before, "the sender repeats; nobody needs to look"


@contextlib.contextmanager
def crowd(server: Server, count: int, said: bytes) -> Iterator[None]:
    """So many who say this, and then nothing more."""
    with contextlib.ExitStack() as links:
        for _ in range(count):
            link = links.enter_context(server.opened())
            with contextlib.suppress(OSError):
                link.sendall(said)
        time.sleep(0.3)
        yield
    wait_until_quiet(server)


@pytest.mark.parametrize("kind", SLOW)
def test_strangers_that_never_finish_stop_no_alert(server: Server, kind: str) -> None:
    with crowd(server, CROWD, SLOW[kind]):
        said = server.say(plain(f"while {kind}"))
    assert said.statuses == (200,)
    assert said.seconds < SLOWEST


def test_a_source_with_many_slow_senders_still_delivers(server: Server) -> None:
    with crowd(server, FOR_A_SOURCE - 4, HALF):
        said = server.say(plain("among slow ones"))
    assert said.statuses == (200,)
    assert said.seconds < SLOWEST


def test_a_source_that_takes_all_its_places_is_told_so_and_stops_no_other(server: Server) -> None:
    with crowd(server, CROWD, HALF):
        own = server.say(plain("too many"))
        other = plain("of another source").replace(PATH, PATH.replace(b"main", b"other"))
        said = server.say(other.replace(b"Bearer secret", b"Bearer other"))
        page = server.say(b"GET /sign-in HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (own.statuses, said.statuses, page.statuses) == ((503,), (200,), (200,))
    assert b"\r\nretry-after: 5\r\n" in own.text.lower()
    assert max(own.seconds, said.seconds) < SLOWEST
    assert "too many" not in server.stored()


def wait_until_quiet(server: Server) -> None:
    """Let the threads notice that their senders are gone."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            if requests.get(f"{server.url}/-/healthy", timeout=0.5).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_over_the_limit_is_413_with_a_self_incident(server: Server, chunked: bool) -> None:  # noqa: FBT001
    before = server.told()
    raw = b"x" * (LARGEST + 1)

    def parts() -> Iterator[bytes]:
        yield from (raw[:1000], raw[1000:])

    answer = requests.post(
        f"{server.url}/ingest/alertmanager/main",
        data=parts() if chunked else raw,
        headers={"Authorization": "Bearer secret"},
        timeout=5,
    )
    assert answer.status_code == 413
    assert server.told() - before == {"BridgeBodyTooLarge": 1}


def test_a_bomb_costs_memory_by_the_limit_and_not_by_its_size(server: Server) -> None:
    headers = {"Authorization": "Bearer secret", "Content-Encoding": "gzip"}
    before = server.worker.memory_info().rss
    began = time.monotonic()
    for _ in range(3):
        url = f"{server.url}/ingest/alertmanager/main"
        assert requests.post(url, data=bomb(900), headers=headers, timeout=5).status_code == 413
    assert time.monotonic() - began < 3 * SLOWEST
    assert server.worker.memory_info().rss - before < 50 * 2**20


def test_whatever_was_sent_the_log_is_one_harmless_object_a_line(server: Server) -> None:
    for hostile in (b"\x1b[31m", "\u202e\u2028\x85".encode(), b'\n{"level":"fake"}', b"%s%n", b"\xff\x00"):
        raw = b'{"version": "' + hostile + b'", "alerts": [1]}'
        server.say(request(b"User-Agent: " + hostile.strip() + b"\r\nContent-Length: %d\r\n" % len(raw), raw))
    lines = server.log().splitlines()
    assert len(lines) > 5
    for line in lines:
        assert isinstance(json.loads(line), dict)
        assert line.isprintable()
    assert not [line for line in lines if json.loads(line)["level"] in ("error", "critical")]


def test_a_connection_that_is_reset_at_any_byte_leaves_the_server_well(server: Server) -> None:
    whole = plain("reset")
    for end in range(0, len(whole) - 1, 23):
        with server.opened() as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            link.sendall(whole[:end])
    said = server.say(plain("after the resets"))
    assert (said.statuses, server.alive) == ((200,), True)
    assert "reset" not in server.stored()
