from collections.abc import Iterator

import pytest

from tests.demo.loopback import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.stop()
