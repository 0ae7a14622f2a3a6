"""A web application over the test's bridge, with its intake thread running."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient

from bridge.intake import Intake
from bridge.store import people
from bridge.web import create_app
from bridge.wiring import Bridge
from tests.bridge.web.catalogue import compile_words
from tests.bridge.web.visitors import PLAN, Site


@pytest.fixture
def intake(bridge: Bridge) -> Iterator[Intake]:
    """The running group commit."""
    running = Intake(bridge)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def client(bridge: Bridge, intake: Intake) -> FlaskClient:
    """An HTTP client without credentials."""
    return create_app(bridge, intake).test_client()


@pytest.fixture
def token(bridge: Bridge):
    """Make a machine token: token("api:read", …) gives the header to send."""

    def make(*scopes: str, name: str = "robot") -> dict[str, str]:
        secret = bridge.database.run(
            lambda c: people.new_token(c, f"{name}{len(scopes)}{scopes}", list(scopes), bridge.now())
        )
        return {"Authorization": f"Bearer {secret}"}

    return make


@pytest.fixture
def site(make_bridge: Callable[..., Bridge]) -> Iterator[Site]:
    """A console over an empty database, in both languages."""
    compile_words()
    bridge = make_bridge(more=PLAN)
    queue = Intake(bridge)
    queue.start()
    yield Site(bridge, create_app(bridge, queue))
    queue.stop()
