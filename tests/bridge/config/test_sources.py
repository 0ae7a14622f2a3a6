"""Sources of the configuration: heartbeats that watch another source, several of one kind."""

from __future__ import annotations

from datetime import timedelta

from bridge.config import Config
from bridge.config.build import WatchedHeartbeat
from bridge.matchers import parse
from tests.bridge.config.conftest import SMALLEST, Read

SOURCES = """sources:
  main: {type: alertmanager}
  watchdog: {type: heartbeat, every: 5m, watches: main, match: ['alertname="Watchdog"', 'cluster=~"eu-.*"']}
  backup: {type: heartbeat, every: 1d, grace: 2h}
"""


def test_only_heartbeats_that_watch_are_asked_about_alerts(read: Read) -> None:
    found: Config = read(SMALLEST.replace("sources: {main: {type: alertmanager}}\n", SOURCES))
    assert found.watched == (
        WatchedHeartbeat(
            name="watchdog",
            watches="main",
            match=(parse('alertname="Watchdog"'), parse('cluster=~"eu-.*"')),
            every=timedelta(minutes=5),
            grace=timedelta(minutes=1),
        ),
    )


def test_without_heartbeats_nothing_is_watched(read: Read) -> None:
    assert read(SMALLEST).watched == ()
