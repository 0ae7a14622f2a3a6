"""A bridge whose source has an API that can be asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.wiring import Bridge
from tests.servers.alertmanager_api import Api, api, point


@pytest.fixture
def am() -> Iterator[Api]:
    """An Alertmanager's API that lists nothing."""
    with api() as answers:
        answers.lists()
        yield answers


@pytest.fixture
def looked(bridge: Bridge, am: Api) -> Bridge:
    """A bridge whose source `main` can be asked."""
    point(bridge, am.url)
    return bridge
