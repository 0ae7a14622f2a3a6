"""What the tests of the documents compare with: the program itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from bridge.intake import Intake
from bridge.store import database
from bridge.web import create_app
from bridge.wiring import Bridge, read_config, wire

_SMALLEST = """
url: http://127.0.0.1:8080
database: sqlite:///{folder}/bridge.db
sources: {{main: {{type: alertmanager}}}}
clients: {{acme: {{name: Acme}}}}
priorities: {{P1: {{respond: 10m}}}}
triage: [triage.yml]
policies: {{page: {{steps: [{{after: 0m, notify: [console]}}]}}}}
channels: {{console: {{type: console}}}}
"""


@pytest.fixture(scope="session")
def made_bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """A bridge on a temporary SQLite file."""
    folder: Path = tmp_path_factory.mktemp("docs")
    (folder / "triage.yml").write_text("- name: all\n")
    (folder / "bridge.yml").write_text(_SMALLEST.format(folder=folder))
    bridge = wire(read_config(folder / "bridge.yml"))
    database.upgrade(bridge.database)
    yield bridge
    bridge.database.engine.dispose()


@pytest.fixture(scope="session")
def app(made_bridge: Bridge) -> Flask:
    """Its web application; nothing is delivered, so its intake is never started."""
    return create_app(made_bridge, Intake(made_bridge))
