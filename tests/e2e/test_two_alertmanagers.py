"""Two real Alertmanagers of one cluster, cut off from each other and healed: one incident, one first page.

Both post to the same source of one bridge, as an HA pair does. Cut off, neither sees that the other has
notified already, so both deliver everything. What really arrived is read from the Alertmanagers'
own counters and from the list of deliveries; what people were told is read from their receiver's list.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from bridge.demo.stack import free_port
from tests.servers.alertmanager import Alertmanager, Firing, firing
from tests.servers.opsbridge import Opsbridge
from tests.servers.waiting import wait_for
from tests.servers.wire import Wire

# Peers notice a cut in seconds and find each other again at once; the defaults take half a minute.
QUICK = (
    "--cluster.gossip-interval=50ms",
    "--cluster.probe-interval=500ms",
    "--cluster.probe-timeout=250ms",
    "--cluster.pushpull-interval=2s",
    "--cluster.reconnect-interval=1s",
    "--cluster.peer-timeout=3s",
    "--cluster.settle-timeout=20s",
)


@dataclass
class Pair:
    """A bridge, its two Alertmanagers, and the wires to them that their gossip runs over."""

    bridge: Opsbridge
    alertmanagers: tuple[Alertmanager, Alertmanager]
    wires: tuple[Wire, Wire]
    _marks: itertools.count[int] = field(default_factory=itertools.count)

    def cut(self) -> None:
        for wire in self.wires:
            wire.cut()
        self._see(1)

    def heal(self) -> None:
        for wire in self.wires:
            wire.heal()
        self._see(2)

    def tell(self, alert: Firing) -> None:
        """As Prometheus does: everything to every Alertmanager."""
        for alertmanager in self.alertmanagers:
            alertmanager.tell(alert)

    def delivered(self) -> tuple[int, int]:
        """Notifications each of them has got through."""
        first, second = self.alertmanagers
        return first.delivered(), second.delivered()

    def wait(self, look, what: str, seconds: float = 60):
        programs = [self.bridge.program, *(one.program for one in self.alertmanagers)]
        return wait_for(look, what, seconds, *programs)

    def wait_for_both(self, before: tuple[int, int], more: int) -> None:
        wanted = tuple(count + more for count in before)
        self.wait(lambda: self.delivered() >= wanted and self.delivered()[1] >= wanted[1], f"{wanted}")

    def wait_for_page(self, alert: Firing) -> str:
        """The number of the alert's incident, as soon as somebody was paged for it."""
        name = alert.labels["alertname"]
        opened = self.wait(lambda: self.bridge.incidents(name), f"an incident of {name}")
        number: str = opened[0]["number"]
        self.wait(lambda: self.bridge.told(number)["page"], f"the page of {name}")
        return number

    def wait_for_end(self, number: str) -> None:
        self.wait(lambda: self.bridge.incident(number)["status"] == "resolved", f"the end of {number}")
        self.wait(lambda: self.bridge.told(number)["resolved"], f"people to be told the end of {number}")

    def drain(self) -> None:
        """Wait for the page of a later alert: what was queued before it has been sent by then."""
        mark = firing(f"Mark{next(self._marks)}")
        self.alertmanagers[0].tell(mark)
        self.wait_for_page(mark)

    def _see(self, members: int) -> None:
        for one in self.alertmanagers:
            self.wait(
                lambda one=one: one.metric("alertmanager_cluster_members") == members, f"{members} members"
            )


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    with ExitStack() as stack:
        bridge = stack.enter_context(Opsbridge(folder / "bridge"))
        ports = (free_port(), free_port())
        wires = tuple(stack.enter_context(Wire(port)) for port in ports)
        config = {
            "route": {
                "receiver": "bridge",
                "group_by": ["alertname"],
                "group_wait": "500ms",
                "group_interval": "1s",
            },
            "receivers": [{"name": "bridge", "webhook_configs": [bridge.webhook()]}],
        }
        alertmanagers = []
        for index, port in enumerate(ports):
            cluster = (
                f"--cluster.listen-address=127.0.0.1:{port}",
                f"--cluster.advertise-address=127.0.0.1:{wires[index].port}",
                f"--cluster.peer=127.0.0.1:{wires[1 - index].port}",
            )
            made = Alertmanager(folder / f"alertmanager-{index}", config, (*cluster, *QUICK))
            alertmanagers.append(stack.enter_context(made))
        made = Pair(bridge, tuple(alertmanagers), wires)
        made.heal()
        yield made


def check(pair: Pair, alert: Firing, number: str, deliveries: int) -> None:
    """One problem, one ticket, one first page, one end, although so many deliveries told of it."""
    name = alert.labels["alertname"]
    assert len(pair.bridge.deliveries_of(name)) >= deliveries, "the copies must be real"
    [episode] = pair.bridge.episodes(name)
    assert (episode["state"], episode["incident"]) == ("resolved", number)
    assert [incident["number"] for incident in pair.bridge.incidents(name)] == [number]
    assert pair.bridge.told(number) == {"page": 1, "resolved": 1}


def test_an_alert_that_both_halves_of_a_cut_cluster_tell_from_start_to_end_is_one_incident(pair):
    pair.cut()
    before, alert = pair.delivered(), firing("CutAllTheTime")
    pair.tell(alert)
    pair.wait_for_both(before, 1)
    number = pair.wait_for_page(alert)
    pair.tell(alert.ended())
    pair.wait_for_both(before, 2)
    pair.wait_for_end(number)
    pair.heal()
    pair.drain()
    check(pair, alert, number, deliveries=4)


def test_a_cluster_that_heals_while_the_alert_fires_pages_nobody_again(pair):
    pair.cut()
    before, alert = pair.delivered(), firing("HealedWhileFiring")
    pair.tell(alert)
    pair.wait_for_both(before, 1)
    number = pair.wait_for_page(alert)
    pair.heal()
    pair.tell(alert)
    pair.drain()
    assert pair.bridge.told(number) == {"page": 1}
    pair.tell(alert.ended())
    pair.wait_for_end(number)
    pair.drain()
    check(pair, alert, number, deliveries=3)


def test_the_late_half_of_a_cut_cluster_cannot_open_again_what_the_other_half_has_ended(pair):
    quick, late = pair.alertmanagers
    pair.cut()
    before, alert = pair.delivered(), firing("ToldLate")
    quick.tell(alert)
    number = pair.wait_for_page(alert)
    quick.tell(alert.ended())
    pair.wait_for_end(number)
    late.tell(alert)
    pair.wait(lambda: late.delivered() > before[1], "the late copy")
    pair.heal()
    pair.drain()
    check(pair, alert, number, deliveries=3)
