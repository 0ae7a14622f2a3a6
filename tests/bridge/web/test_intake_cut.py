"""A body that never fully arrived is answered 503, so that it is sent again; nobody needs to look at it."""

from __future__ import annotations

import gzip

import pytest
from werkzeug.test import Client

from bridge.store.schema import alerts, quarantine
from tests.bridge.web.test_intake import MAIN, PATH, count
from tests.conftest import payload

WHOLE = payload("firing_single")
CHUNKED = {"Transfer-Encoding": "chunked"}


def cut(client, body: bytes, length: int, *, terminated: bool = True, **headers: str):
    """A body that ends before its length. `terminated`: the server tells the end, as Granian does."""
    said = {"CONTENT_LENGTH": str(length)} | ({"wsgi.input_terminated": True} if terminated else {})
    return client.post(PATH, data=body, headers=MAIN | headers, environ_overrides=said)


def in_chunks(client, body: bytes, protocol: str = "HTTP/1.1", **headers: str):
    """A body without a length, as the server gives it on."""

    def served(environ, start_response):
        environ.pop("CONTENT_LENGTH", None)
        return client.application(environ | {"wsgi.input_terminated": True}, start_response)

    said = {"SERVER_PROTOCOL": protocol}
    return Client(served).post(PATH, data=body, headers=MAIN | headers, environ_overrides=said)


def nothing_came_of_it(bridge) -> bool:
    return (count(bridge, alerts), count(bridge, quarantine)) == (0, 0)


@pytest.mark.parametrize("terminated", [True, False])
@pytest.mark.parametrize("body", [WHOLE, WHOLE[:-20], b"", b"{"])
def test_a_body_shorter_than_its_length_is_sent_again(bridge, client, body, terminated):
    answer = cut(client, body, len(WHOLE) + 10, terminated=terminated)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert nothing_came_of_it(bridge)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(b"", {}, id="nothing"),
        pytest.param(WHOLE[:100], {}, id="half"),
        pytest.param(WHOLE.rstrip()[:-1], {}, id="all but a bracket"),
        pytest.param(gzip.compress(WHOLE)[:-20], {"Content-Encoding": "gzip"}, id="half of it packed"),
    ],
)
@pytest.mark.parametrize(("protocol", "coding"), [("HTTP/1.1", CHUNKED), ("HTTP/2.0", {})])
def test_chunks_that_end_early_are_sent_again(bridge, client, body, headers, protocol, coding):
    assert in_chunks(client, body, protocol, **headers, **coding).status_code == 503
    assert nothing_came_of_it(bridge)


def test_chunks_that_are_whole_are_stored(bridge, client):
    assert in_chunks(client, WHOLE, **CHUNKED).json["new"] == 1
    assert in_chunks(client, gzip.compress(WHOLE), **CHUNKED, **{"Content-Encoding": "gzip"}).json["new"] == 0


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000 + b"]" * 100_000, b"{}{}", b"\xff"])
def test_chunks_that_are_whole_and_no_webhook_are_kept(bridge, client, body):
    assert in_chunks(client, body, **CHUNKED).status_code == 200
    assert count(bridge, quarantine) == 1


def test_no_length_and_no_chunks_is_an_empty_body_and_kept(bridge, client):
    assert in_chunks(client, b"").status_code == 200
    assert count(bridge, quarantine) == 1


@pytest.mark.parametrize("path", ["//ingest/alertmanager/main", "/ingest//alertmanager/main"])
def test_an_address_with_doubled_slashes_is_refused_and_not_redirected(client, path):
    assert client.post(path, data=WHOLE, headers=MAIN).status_code == 404
