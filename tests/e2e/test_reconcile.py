"""What Alertmanager never tells by webhook, found by asking it: a real Alertmanager, looked at every 2 s.

With the default of 60 s, and by the clock, in tests/faults/test_reconcile_by_default.py.
"""

from __future__ import annotations

import pytest

from tests.e2e.line import built
from tests.servers.alertmanager import firing


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    with built(tmp_path_factory.mktemp("line"), "intake: {reconcile_every: 2s}") as found:
        yield found


@pytest.fixture
def swallowing(line):
    line.balancer.swallows = True
    yield line
    line.balancer.swallows = False


def test_an_alert_whose_start_and_end_never_reached_us_is_paged_and_ended_all_the_same(swallowing):
    line, alert = swallowing, firing("NeverTold")
    before = line.alertmanager.delivered()
    line.alertmanager.tell(alert)
    number = line.wait_for_page(alert)
    assert line.alertmanager.delivered() == before + 1, "Alertmanager believes that we know"
    line.alertmanager.tell(alert.ended())
    line.wait_for_end(number)
    assert line.state(alert) == "resolved"
    assert line.bridge.deliveries_of("NeverTold") == [], "nothing came by webhook"


def test_an_alert_that_was_found_and_is_told_later_stays_one_episode(swallowing):
    line, alert = swallowing, firing("FoundFirst")
    line.alertmanager.tell(alert)
    number = line.wait_for_page(alert)
    line.balancer.swallows = False
    line.alertmanager.lose_everything()
    line.alertmanager.tell(alert)
    line.wait(lambda: line.bridge.deliveries_of("FoundFirst"), "the webhook")
    assert line.state(alert) == "firing"
    line.alertmanager.tell(alert.ended())
    line.wait_for_end(number)
    assert line.state(alert) == "resolved"


def test_an_alert_that_an_emptied_alertmanager_has_forgotten_ends(line):
    alert = firing("Forgotten")
    line.alertmanager.tell(alert)
    number = line.wait_for_page(alert)
    line.alertmanager.lose_everything()
    line.wait_for_end(number)
    assert line.state(alert) == "resolved"


def test_a_silenced_alert_is_shown_so_and_its_incident_stays_open_until_it_ends(line):
    alert = firing("Silenced")
    line.alertmanager.tell(alert)
    number = line.wait_for_page(alert)
    silence = line.alertmanager.silence(alertname="Silenced")
    line.wait_for_state(alert, "silenced")
    assert line.bridge.incident(number)["status"] == "triggered"
    line.alertmanager.expire(silence)
    line.wait_for_state(alert, "firing")
    line.alertmanager.silence(alertname="Silenced")
    line.wait_for_state(alert, "silenced")
    assert line.bridge.told(number) == {"page": 1}
    told = line.alertmanager.delivered()
    line.alertmanager.tell(alert.ended())
    line.wait_for_end(number)
    assert line.state(alert) == "resolved"
    assert line.alertmanager.delivered() == told, "Alertmanager says nothing of an end under a silence"


def test_an_inhibited_alert_is_shown_so_and_its_incident_stays_open_until_it_ends(line):
    node, centre = firing("NodeDown"), firing("DataCentreDown")
    line.alertmanager.tell(node)
    number = line.wait_for_page(node)
    line.alertmanager.tell(centre)
    larger = line.wait_for_page(centre)
    line.wait_for_state(node, "inhibited")
    assert line.bridge.incident(number)["status"] == "triggered"
    line.alertmanager.tell(node.ended())
    line.wait_for_end(number)
    line.alertmanager.tell(centre.ended())
    line.wait_for_end(larger)


def test_an_alertmanager_that_is_gone_opens_a_self_incident_and_ends_nothing(line):
    alert = firing("FiresOn")
    line.alertmanager.tell(alert)
    number = line.wait_for_page(alert)
    line.alertmanager.program.kill()
    [blind] = line.wait(lambda: line.bridge.incidents("blind"), "the self-incident")
    assert blind["status"] == "triggered"
    assert "main" in blind["title"]
    assert line.bridge.incident(number)["status"] == "triggered"
    line.alertmanager.start()
    line.alertmanager.tell(alert)
    line.wait(
        lambda: line.bridge.incident(blind["number"])["status"] == "resolved", "the end of the self-incident"
    )
    assert line.state(alert) == "firing"
    assert line.bridge.told(number) == {"page": 1}
    line.alertmanager.tell(alert.ended())
    line.wait_for_end(number)
