"""Who is on call: hand-over at the same wall-clock time, all year; everybody told once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.oncall import Directory, Recipient, Responder, Rotation, on_call, recipients

BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")
WEEKLY = Rotation(("li", "han", "mei"), timedelta(weeks=1), datetime(2026, 1, 5, 9), SHANGHAI)
DAILY = Rotation(("li", "han"), timedelta(days=1), datetime(2026, 3, 27, 9), BERLIN)
AUTUMN = Rotation(("li", "han"), timedelta(days=1), datetime(2026, 10, 24, 9), BERLIN)


def moment(text: str, zone: ZoneInfo, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("text", "person"),
    [
        pytest.param("2026-01-05T09:00", "li", id="the first turn begins"),
        pytest.param("2026-01-12T08:59:59", "li", id="a second before hand-over"),
        pytest.param("2026-01-12T09:00", "han", id="hand-over"),
        pytest.param("2026-01-19T09:00", "mei", id="third"),
        pytest.param("2026-01-26T09:00", "li", id="round again: 3 weeks later"),
        pytest.param("2026-01-05T08:59:59", "mei", id="before the start the turns go on backwards"),
        pytest.param("2025-12-22T09:00", "han", id="two weeks before: -2 is the second of three"),
    ],
)
def test_turns_follow_each_other_from_the_start_in_both_directions(text: str, person: str) -> None:
    assert on_call(WEEKLY, moment(text, SHANGHAI)) == person


@pytest.mark.parametrize(
    ("rotation", "text", "person"),
    [
        # li from Friday 27, han from Saturday 28, li from Sunday 29 (summer time since 02:00)
        pytest.param(DAILY, "2026-03-28T09:00", "han", id="day before the clock goes forward"),
        pytest.param(DAILY, "2026-03-29T08:59", "han", id="23 hours later it is not yet nine"),
        pytest.param(DAILY, "2026-03-29T09:00", "li", id="nine by the new time"),
        pytest.param(DAILY, "2026-07-01T08:59", "han", id="summer, before nine: turn 95"),
        pytest.param(DAILY, "2026-07-01T09:00", "li", id="summer, at nine: turn 96"),
        pytest.param(AUTUMN, "2026-10-25T08:59", "li", id="25 hours long turn, not over before nine"),
        pytest.param(AUTUMN, "2026-10-25T09:00", "han", id="nine by winter time"),
    ],
)
def test_hand_over_is_at_the_same_wall_clock_time_across_dst(
    rotation: Rotation, text: str, person: str
) -> None:
    assert on_call(rotation, moment(text, BERLIN)) == person


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)))
def test_the_same_moment_has_one_person_in_whatever_zone_it_is_told(at: datetime) -> None:
    now = at.replace(tzinfo=UTC)
    assert on_call(DAILY, now) == on_call(DAILY, now.astimezone(SHANGHAI))


DIRECTORY = Directory(
    responders={
        "li": Responder("li", ("li-wecom", "li-mail"), "zh"),
        "han": Responder("han", ("han-sms",)),
    },
    schedules={"payments": Rotation(("li", "han"), timedelta(weeks=1), datetime(2026, 1, 5, 9), SHANGHAI)},
    channels=frozenset({"team", "li-wecom"}),
)
LI = Recipient("li", ("li-wecom", "li-mail"), "zh")
HAN = Recipient("han", ("han-sms",))
TEAM = Recipient("team", ("team",))
FIRST_WEEK = moment("2026-01-06T00:00", SHANGHAI)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        pytest.param(["li"], [LI], id="a responder, with all channels and language"),
        pytest.param(["team"], [TEAM], id="a channel"),
        pytest.param(["schedule:payments"], [LI], id="a schedule is who is on call"),
        pytest.param(["schedule:payments", "han"], [LI, HAN], id="in the order written"),
        pytest.param(["schedule:payments", "li", "schedule:payments"], [LI], id="each person once"),
        pytest.param(["team", "team"], [TEAM], id="each channel once"),
        pytest.param(
            ["gone", "schedule:gone", "han"], [HAN], id="names that left the configuration stop nobody"
        ),
        pytest.param([], [], id="nobody"),
    ],
)
def test_targets_become_addressees_once_each(targets: list[str], expected: list[Recipient]) -> None:
    assert list(recipients(targets, DIRECTORY, FIRST_WEEK)) == expected


def test_a_schedule_means_who_is_on_call_at_that_moment() -> None:
    assert recipients(["schedule:payments"], DIRECTORY, FIRST_WEEK + timedelta(weeks=1)) == (HAN,)
