"""Sites that the tests of a file share: a hostile delivery must not break what comes after it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests import postgres
from tests.hostile.site import Site

_numbers = itertools.count()


# So many incidents at once are no storm here, and hardly any time passes.
CALM = {"more": "intake: {storm: {incidents: 0}}", "step": timedelta(milliseconds=50)}


@contextmanager
def _on(
    kind: str, request: pytest.FixtureRequest, make: pytest.TempPathFactory, **how: Any
) -> Iterator[Site]:
    folder = make.mktemp("site")
    if kind != "postgresql":
        how["short"] = kind == "sqlite, short way"
        shutil.copy(request.getfixturevalue("_sqlite_template"), folder / "bridge.db")
        with Site(f"sqlite:///{folder}/bridge.db", folder, **how) as found:
            yield found
        return
    server = request.getfixturevalue("postgres_server")
    name = f"hostile_{next(_numbers)}"
    with Site(postgres.new_database(server, name, "migrated"), folder, **how) as found:
        yield found
    postgres.drop_database(server, name)


# The same bodies on PostgreSQL take a minute more: `make faults`.
_LONG = pytest.param("postgresql", marks=pytest.mark.long)


@pytest.fixture(scope="module", params=["sqlite", "sqlite, short way", _LONG])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for all tests of a file, on either database and by either way in."""
    with _on(request.param, request, tmp_path_factory) as found:
        yield found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def plain_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same, where nobody takes the short way."""
    with _on(request.param, request, tmp_path_factory) as found:
        yield found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def calm_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same, but every text has an incident of its own there."""
    with _on(request.param, request, tmp_path_factory, **CALM) as found:
        yield found


@pytest.fixture(scope="module")
def light_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site on SQLite alone, for what does not depend on the database."""
    with _on("sqlite", request, tmp_path_factory) as found:
        yield found


@pytest.fixture(scope="module")
def light_calm_site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A calm site on SQLite alone."""
    with _on("sqlite", request, tmp_path_factory, **CALM) as found:
        yield found
