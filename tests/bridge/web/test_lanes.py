"""Who sends slowly gets a share of the threads, and gives each place back however it ends."""

from __future__ import annotations

import contextlib
import io

import pytest

from bridge.store.schema import alerts, quarantine
from bridge.web.lanes import FOR_A_SOURCE, FOR_OTHERS, FOR_STRANGERS, THREADS, Busy, Lanes, reading
from tests.bridge.web.test_intake import MAIN, PATH, count
from tests.conftest import payload


@pytest.fixture(autouse=True)
def _every_place_is_given_back():
    yield
    with full("", FOR_STRANGERS), full("main", FOR_A_SOURCE):
        pass


@contextlib.contextmanager
def full(source: str, number: int):
    """Every place of a source, or of strangers, is taken."""
    with contextlib.ExitStack() as places:
        for _ in range(number):
            places.enter_context(reading(source))
        yield


class App:
    """What stands behind the lanes: says what it was asked for, or breaks."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, environ, start_response):
        self.asked.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/broken":
            raise RuntimeError("broken")
        start_response("200 OK", [])
        return iter([b"fine"])


def ask(app: Lanes, path: str):
    """One request that is not finished yet: its status, its headers and its answer."""
    said: list = []
    answer = app({"PATH_INFO": path}, lambda status, headers: said.extend((status[:3], dict(headers))))
    return said[0], said[1], answer


def test_the_shares_leave_threads_for_those_who_deliver():
    assert FOR_OTHERS + FOR_STRANGERS < THREADS
    assert FOR_A_SOURCE < THREADS


def test_pages_that_are_in_work_leave_the_other_half_to_deliveries():
    app = Lanes(App())
    open_ones = [ask(app, "/sign-in") for _ in range(FOR_OTHERS)]
    assert {status for status, _, _ in open_ones} == {"200"}
    status, headers, _ = ask(app, "/api/v1/incidents")
    assert (status, headers["Retry-After"]) == ("503", "5")
    for path in (PATH, "/v2/enqueue", "/heartbeat/beat", "/-/healthy", "/metrics"):
        assert ask(app, path)[0] == "200"
    open_ones.pop()[2].close()  # type: ignore[union-attr]
    assert [ask(app, "/")[0], ask(app, "/")[0]] == ["200", "503"]


def test_a_page_that_breaks_gives_its_place_back():
    app = Lanes(App())
    for _ in range(FOR_OTHERS + 1):
        with pytest.raises(RuntimeError):
            ask(app, "/broken")


@pytest.mark.parametrize(("source", "number"), [("", FOR_STRANGERS), ("main", FOR_A_SOURCE)])
def test_one_more_body_than_there_are_places_is_refused(source, number):
    with full(source, number):
        with pytest.raises(Busy), reading(source):
            pass
        with reading("another"):
            pass


def test_a_source_without_a_place_is_told_so_and_its_body_is_not_read(bridge, client):
    body = io.BytesIO(payload("firing_single"))
    with full("main", FOR_A_SOURCE):
        answer = client.post(PATH, input_stream=body, headers=MAIN, content_length=100)
    assert (answer.status_code, answer.headers["Retry-After"], body.tell()) == (503, "5", 0)
    assert (count(bridge, alerts), count(bridge, quarantine)) == (0, 0)
    assert client.post(PATH, data=payload("firing_single"), headers=MAIN).status_code == 200


def test_a_known_sender_without_a_place_is_told_so_too(client):
    assert client.post(PATH, data=payload("firing_single"), headers=MAIN).status_code == 200
    with full("main", FOR_A_SOURCE):
        assert client.post(PATH, data=payload("firing_single"), headers=MAIN).status_code == 503
    assert client.post(PATH, data=payload("firing_single"), headers=MAIN).status_code == 200


def test_an_event_of_nobody_known_takes_a_strangers_place(client):
    with full("", FOR_STRANGERS):
        answer = client.post("/v2/enqueue", data=b"{}")
        assert (answer.status_code, answer.json["status"]) == (503, "unavailable")
        assert client.post(PATH, data=payload("firing_single"), headers=MAIN).status_code == 200
    assert client.post("/v2/enqueue", data=b"{}").status_code == 400


@pytest.mark.parametrize("path", [PATH, "/ingest/grafana", "/ingest/form", "/ingest/nothing", "/heartbeat/x"])
def test_nothing_is_read_of_a_stranger(client, path):
    body = io.BytesIO(payload("firing_single"))
    answer = client.post(path, input_stream=body, content_length=100)
    assert answer.status_code in (401, 404)
    assert body.tell() == 0
