"""The one way out: bounded in time and size, no redirect, no cookie, no secret in what it says."""

from __future__ import annotations

import contextlib
import logging
import ssl
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.delivery import (
    ANSWER_LIMIT,
    LONGEST_WAIT,
    Answer,
    DeliveryError,
    MailServer,
    Outbound,
    retry_after,
)
from tests.servers.http import (
    Behaviour,
    Server,
    drips,
    floods,
    free_port,
    gzip_bomb,
    hangs,
    resets,
    says,
    speaks,
)
from tests.servers.loopback import CANARY, LOOPBACK, outbound, told
from tests.servers.smtp import certificate

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
SECONDS = 0.5
OK = b"HTTP/1.1 200 OK\r\n"
SECRETS: dict[str, Any] = {
    "json": {"password": "canary-body"},
    "headers": {"Authorization": "Bearer canary-header"},
}


def failing(behaviour: Behaviour, path: str = "/canary-path?key=canary-key") -> DeliveryError:
    with Server(behaviour) as server, pytest.raises(DeliveryError) as caught:
        outbound(SECONDS).call("POST", server.url.replace("//", "//user:canary-password@") + path, **SECRETS)
    assert CANARY not in told(caught.value)
    assert len(server.requests) == 1
    return caught.value


@pytest.mark.parametrize(
    "behaviour",
    [
        *(hangs(), drips(b""), drips(OK), drips(OK + b"X-Slow: "), drips(OK, b"X: y\r\n")),
        *(drips(OK + b"Content-Length: 100000\r\n\r\n"), drips(OK + b"\r\n")),
        *(drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),),
        drips(OK + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n"),
        drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        drips(OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00", b"\x00"),
    ],
)
def test_the_whole_call_has_one_end_however_slowly_it_drips(behaviour: Behaviour) -> None:
    began = time.monotonic()
    error = failing(behaviour)
    assert time.monotonic() - began < SECONDS + 0.5
    assert (error.retry, error.unknown) == (True, True)


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"",
            b"\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"220 mail.test ESMTP\r\n",
            b"<html>hi</html>",
        ),
        *(
            OK + b"Content-Length: 50\r\n\r\nshort",
            OK + b"Content-Length: 1, 2\r\n\r\nx",
            b"\x15\x03\x01\x00\x02\x02(",
        ),
        *(
            OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx",
            OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        ),
        *(OK + b"Content-Encoding: gzip\r\n\r\nno gzip", OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n"),
        OK + b"X: y\r\n" * 10_000 + b"\r\n",
    ],
    ids=lambda data: ascii(data[:40]),
)
def test_nonsense_is_a_broken_call_and_nothing_else(data: bytes) -> None:
    error = failing(speaks(data))
    assert (error.retry, error.unknown) == (True, True)


@settings(max_examples=60, deadline=5_000)
@given(st.binary(max_size=300), st.sampled_from([b"", OK, OK + b"Content-Encoding: gzip\r\n"]))
def test_any_answer_is_an_answer_or_a_delivery_error(data: bytes, first: bytes) -> None:
    with Server(speaks(first + data)) as server, contextlib.suppress(DeliveryError):
        assert outbound(SECONDS).call("GET", server.url).status


def test_a_reset_before_and_inside_the_answer_means_nobody_knows() -> None:
    for behaviour in (resets(), resets(OK), resets(OK + b"Content-Length: 9\r\n\r\nx")):
        error = failing(behaviour)
        assert (error.retry, error.unknown) == (True, True)


def test_where_nobody_listens_nothing_happened() -> None:
    with pytest.raises(DeliveryError, match="connection refused") as caught:
        outbound().call("POST", f"http://127.0.0.1:{free_port()}/canary", **SECRETS)
    assert (caught.value.retry, caught.value.unknown) == (True, False)
    assert CANARY not in told(caught.value)


def test_an_error_that_is_being_handled_is_none_of_ours() -> None:
    """A second call made while the first failure is handled is judged by itself."""
    with Server(resets()) as server:
        try:
            outbound().call("GET", f"http://127.0.0.1:{free_port()}/")
        except DeliveryError:
            with pytest.raises(DeliveryError) as caught:
                outbound().call("POST", server.url)
    assert caught.value.unknown


def test_a_certificate_nobody_vouches_for(tmp_path: Path) -> None:
    _, context = certificate(tmp_path)
    with Server(says(200)) as server:
        server._listener.socket = context.wrap_socket(server._listener.socket, server_side=True)
        with pytest.raises(DeliveryError, match="certificate not trusted") as caught:
            outbound().call("POST", server.url.replace("http", "https") + "/canary", **SECRETS)
    assert (caught.value.retry, caught.value.unknown) == (True, False)
    assert server.requests == []
    assert isinstance(context, ssl.SSLContext)


@pytest.mark.parametrize("behaviour", [speaks(b"no tls here"), resets(), hangs()])
def test_a_failed_handshake_sent_nothing(behaviour: Behaviour) -> None:
    with Server(behaviour) as server, pytest.raises(DeliveryError) as caught:
        outbound(SECONDS).call("POST", server.url.replace("http", "https"), **SECRETS)
    assert (caught.value.retry, caught.value.unknown) == (True, False)


@pytest.mark.parametrize("behaviour", [floods(1_000_000_000), gzip_bomb(300_000_000)])
@pytest.mark.parametrize("limit", [ANSWER_LIMIT, 1_000])
def test_an_answer_is_cut_at_its_limit(behaviour: Behaviour, limit: int) -> None:
    with Server(behaviour) as server:
        tracemalloc.start()
        answer = outbound(5).call("GET", server.url, limit=limit)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(answer.body) == limit
    assert peak < 20_000_000


def test_an_answer_of_just_the_limit_is_whole() -> None:
    with Server(says(200, b"x" * ANSWER_LIMIT)) as server:
        assert outbound().call("GET", server.url).body == b"x" * ANSWER_LIMIT


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location", ["{other}/", "//127.0.0.1:{port}/", "file:///etc/passwd", "http://[", "\x80", "/", ""]
)
def test_a_redirect_is_an_answer_and_not_followed(status: int, location: str) -> None:
    with Server() as other:
        target = location.format(other=other.url, port=other.port)
        with Server(floods(1_000_000_000, status, {"Location": target})) as server:
            answer = outbound(SECONDS).call("POST", server.url, limit=1_000)
            assert (answer.status, len(answer.body)) == (status, 1_000)
            with pytest.raises(DeliveryError, match=f"answered {status}") as caught:
                outbound(SECONDS).expect("POST", server.url)
    assert (caught.value.retry, caught.value.unknown) == (False, False)
    assert other.requests == []
    assert len(server.requests) == 2


def test_no_cookie_is_kept() -> None:
    with Server(says(200, b"", {"Set-Cookie": "session=canary; Path=/"})) as server:
        caller = outbound()
        for _ in range(2):
            caller.call("GET", server.url)
    assert all("Cookie" not in request.headers for request in server.requests)


@pytest.mark.parametrize(
    ("status", "retry"),
    [
        *((code, False) for code in (300, 304, 400, 401, 403, 404, 409, 410, 413, 422)),
        (408, True),
        (425, True),
        (429, True),
        (500, True),
        (502, True),
        (503, True),
        (504, True),
        (599, True),
    ],
)
def test_which_statuses_may_pass(status: int, retry: bool) -> None:  # noqa: FBT001
    with (
        Server(says(status, b"canary", {"Retry-After": "9"})) as server,
        pytest.raises(DeliveryError) as caught,
    ):
        outbound().expect("POST", server.url + "/canary", **SECRETS)
    assert (caught.value.retry, caught.value.unknown) == (retry, False)
    assert caught.value.after == (9.0 if retry else None)
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_success(status: int) -> None:
    with Server(says(status, b"" if status == 204 else b"ok")) as server:
        assert outbound().expect("POST", server.url).status == status


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(
            (None, None),
            ("", None),
            ("7", 7.0),
            ("0", 0.0),
            ("-5", 0.0),
            ("1.5", 1.5),
            ("99999999999", LONGEST_WAIT),
        ),
        *(
            ("1e999", LONGEST_WAIT),
            ("nan", None),
            ("soon", None),
            ("\x00", None),
            ("9" * 5_000, LONGEST_WAIT),
        ),
        ("Sun, 22 Nov 2026 08:01:00 GMT", 60.0),
        ("Sun, 22 Nov 2026 07:00:00 GMT", 0.0),
        ("Sun, 22 Nov 2026 16:01:00 +0800", 60.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +999999999999", None),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds


@given(st.text(max_size=40))
def test_any_retry_after(text: str) -> None:
    found = retry_after(text, NOW)
    assert found is None or 0 <= found <= LONGEST_WAIT


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\xff", b'"\xff"', b"[" * 60_000, b'{"a": 1}{', b"1" * 5_000]
)
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(DeliveryError) as caught:
        Answer(200, {}, body).json()
    assert (caught.value.retry, caught.value.unknown) == (True, True)


@pytest.mark.parametrize(
    "how",
    [
        {"headers": {"X": "a\r\nY: canary"}},
        {"headers": {"X": "a\ncanary"}},
        {"headers": {"X\r\nY": "canary"}},
        {"headers": {"名": "canary"}},
        {"headers": {"": "canary"}},
        {"headers": {"X": " canary"}},
    ],
    ids=str,
)
def test_a_header_that_cannot_be_sent_is_refused_before_anything_is(how: dict[str, Any]) -> None:
    with Server() as server, pytest.raises(DeliveryError) as caught:
        outbound().call("POST", server.url, **how)
    assert (caught.value.retry, caught.value.unknown) == (False, False)
    assert CANARY not in told(caught.value)
    assert server.requests == []


def test_a_header_in_any_language_arrives() -> None:
    with Server() as server:
        outbound().call("POST", server.url, headers={"X-Client": "安可"})
    assert server.requests[0].headers["X-Client"].encode("latin-1").decode() == "安可"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://[::1",
            "http://[canary]/",
            "http://127.0.0.1:99999/canary",
            "http://127.0.0.1:x/canary",
            "http://a b/",
        ),
        *(
            "http://" + "a" * 64 + ".test/canary",
            "http://" + "a." * 200 + "test/",
            "http://x\u2100y/canary",
            "canary",
        ),
        *("http://.test/", "http://a..test/", "http://*/", "http://%00/", "http://\ud800/"),
    ],
    ids=ascii,
)
def test_an_address_that_is_none_is_refused_and_did_nothing(url: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        outbound().call("POST", url, **SECRETS)
    assert not caught.value.unknown


def test_nothing_is_logged_of_what_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    for behaviour in (says(200), resets(), speaks(OK + b"broken header\r\n\r\n"), hangs()):
        with Server(behaviour) as server:
            try:
                outbound(SECONDS).call("POST", server.url + "/canary?key=canary", **SECRETS)
            except DeliveryError:
                continue
    assert CANARY not in caplog.text


def test_nothing_secret_is_in_a_representation() -> None:
    assert CANARY not in repr(MailServer("mail.test", 25, "none", "me", "canary"))
    assert CANARY not in repr(Outbound(allow=LOOPBACK))


def test_connections_are_kept_and_a_closed_one_is_replaced() -> None:
    with Server() as server:
        caller = outbound()
        for _ in range(5):
            caller.call("POST", server.url, json={})
        assert server.connections == 1
        server.behave(speaks(OK + b"Content-Length: 0\r\n\r\n"))
        for _ in range(5):
            caller.call("POST", server.url, json={})
            time.sleep(0.02)
    assert len(server.requests) == 10
