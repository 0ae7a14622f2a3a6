"""Reports of one bridge: built from its incidents, remembered, queued once by however many replicas."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from bridge import operations, reporting
from bridge.store import history, outbox
from bridge.store.schema import tasks
from tests.conftest import START
from tests.stories import LI, alert, tell


@pytest.fixture
def told(make_bridge, tmp_path, clock):
    """A bridge with a closed P1 of acme and one of nord, and no Prometheus."""
    bridge = make_bridge(more=f"reports: {{folder: {tmp_path}/reports}}")
    tell(bridge, alert(starts=START, annotations={"summary": "支付网关超时 <b>alipay</b>"}))
    tell(bridge, alert(starts=START, client="nord", annotations={"summary": "Nord's own trouble"}))
    clock.forward(minutes=20)
    operations.resolve(bridge, 1, LI)
    operations.close(bridge, 1, LI, "the provider's certificate had expired")
    return bridge


def test_a_report_tells_the_clients_incidents_and_nobody_elses(told):
    built = reporting.build(told, "acme", "2026-11", formats=("html",))
    [path] = built.paths
    text = path.read_text()
    assert "INC-1" in text
    assert "&lt;b&gt;alipay&lt;/b&gt;" in text
    assert "Nord" not in text
    assert built.missing, "there is no Prometheus: the report says so"
    with told.database.reading() as connection:
        [row] = history.list_reports(connection, "acme")
        assert history.list_reports(connection, "nord") == []
    assert (row.month, row.format, row.language, row.evidence) == ("2026-11", "html", "zh", built.revision)


def test_building_again_replaces_the_row_instead_of_adding_one(told):
    for _ in range(2):
        reporting.build(told, "acme", "2026-11", formats=("html",), language="en")
    with told.database.reading() as connection:
        assert len(history.list_reports(connection, "acme")) == 1


@pytest.mark.parametrize(
    ("client", "month", "error"),
    [
        ("nobody", "2026-11", reporting.NoSuchClient),
        ("acme", "2026-13", ValueError),
        ("acme", "last", ValueError),
    ],
)
def test_a_wrong_client_or_month_is_refused_in_words(told, client, month, error):
    with pytest.raises(error):
        reporting.build(told, client, month)


def queued(bridge):
    with bridge.database.reading() as connection:
        return [row.data for row in connection.execute(select(tasks).where(tasks.c.kind == "report"))]


def test_a_month_is_queued_once_when_its_moment_came_in_the_clients_zone(told, clock):
    clock.moment = datetime(2026, 11, 30, 21, 59, tzinfo=UTC)  # 05:59 on the 1st in Shanghai
    reporting.queue_due(told)
    assert queued(told) == []
    clock.forward(minutes=1)
    for _ in range(3):
        reporting.queue_due(told)
    assert queued(told) == [{"client": "acme", "month": "2026-11"}], "06:00 in Berlin is seven hours away"
    [task] = told.database.run(lambda c: outbox.claim(c, "w", clock(), ("report",), 1))
    reporting.run(told, task)
    with told.database.reading() as connection:
        assert {row.format for row in history.list_reports(connection, "acme")} == {"html", "pdf"}


def test_a_moment_missed_while_nothing_ran_is_made_up_for(told, clock):
    clock.moment = datetime(2026, 12, 2, 12, 0, tzinfo=UTC)
    reporting.queue_due(told)
    assert queued(told) == [{"client": "acme", "month": "2026-11"}, {"client": "nord", "month": "2026-11"}]


def test_a_fresh_installation_builds_no_report_of_the_time_before_it(make_bridge, clock):
    bridge = make_bridge()
    clock.moment = datetime(2026, 12, 2, 12, 0, tzinfo=UTC)
    tell(bridge, alert(starts=clock.moment))
    reporting.queue_due(bridge)
    assert queued(bridge) == []
