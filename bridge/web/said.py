"""What machines wrote on timelines and about alerts, said in the reader's language; people's words stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from flask_babel import gettext
from flask_babel import lazy_gettext as _

from bridge import sightings
from bridge.model import Fact
from bridge.web.words import person, word

# What machines say in fixed words.
_SAID: Mapping[str, Any] = {
    "all alerts are quiet": _("all alerts are quiet"),
    "over already": _("it was over already when it became known"),
    "it fires again": _("it fires again"),
    "it came in a storm": _("it came in a storm"),
    "no new problems for a while": _("no new problems for a while"),
    "quiet for long enough after flapping": _("quiet for long enough after flapping"),
    "maintenance is over": _("maintenance is over"),
    "muted: nobody says by what": _("muted, nobody says by what"),
    sightings.FIRES_ELSEWHERE: _("Alertmanager no longer lists it, Prometheus still fires it"),
    sightings.PENDS_ELSEWHERE: _("Alertmanager no longer lists it, Prometheus has it pending"),
}
_STEP = re.compile(r"step (\d+)(?:, round (\d+))?")
_MORE_NAMES = re.compile(r"(.*) and (\d+) other names", re.DOTALL)
_MORE = re.compile(r"(.*) and (\d+) more", re.DOTALL)
_SINCE = re.compile(r" since (\d\d:\d\d UTC)$")
_MACHINES = ("worker", "intake")
_GROUPS = {
    "opened": "alerts",
    "alerts_joined": "alerts",
    "alerts_ended": "alerts",
    "failover": "failover",
    "step_taken": "messages",
    "policy_ended": "messages",
    "paging": "messages",
    "nobody_to_page": "messages",
    "told": "messages",
    "not_told": "messages",
    "clock": "messages",
    "deadlines_moved": "messages",
    "muted": "messages",
    "unmuted": "messages",
}


def group(fact: Fact) -> str:
    """Which filter of the timeline shows a fact: people, alerts, messages or failover."""
    return _GROUPS.get(fact.kind, "alerts" if fact.by.via in _MACHINES else "people")


def said(fact: Fact) -> str:
    """What a fact says, translated where machines wrote it; people's words stay as they are."""
    if fact.kind in _SAYS:
        return _SAYS[fact.kind](fact)
    return reason(fact.text) if fact.by.via in _MACHINES else fact.text


def reason(text: str) -> str:
    """Why an alert is held back, or why something happened, as machines tell it."""
    if text in _SAID:
        return str(_SAID[text])
    for pattern, say in _REASONS:
        if found := pattern.fullmatch(text):
            return say(found)
    return text


def _silence(found: re.Match[str]) -> str:
    who, until, why = person(found["who"]), found["until"], found["why"]
    return str(gettext("by %(who)s until %(until)s: %(why)s", who=who, until=until, why=why))


def _while_blind(found: re.Match[str]) -> str:
    causes = "; ".join(str(word(cause, "blind")) for cause in found["why"].split("; "))
    return str(gettext("told as ended while monitoring was blind: %(why)s", why=causes))


_REASONS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"silence \S+ by (?P<who>.*?) until (?P<until>[-\d]+ [:\d]+ UTC): (?P<why>.*)"), _silence),
    (
        re.compile(r"inhibited by (?P<names>.*)"),
        lambda found: str(gettext("by %(names)s", names=_names(found["names"]))),
    ),
    (
        re.compile(r"muted: (?P<names>.*)"),
        lambda found: str(gettext("muted by %(names)s", names=_names(found["names"]))),
    ),
    (re.compile(r"told as ended while monitoring was blind: (?P<why>.*)"), _while_blind),
    (
        re.compile(r"the full list of (?P<source>\S+) is known"),
        lambda found: str(gettext("the full list of %(source)s is known", source=found["source"])),
    ),
    (
        re.compile(r"(?P<one>.+) depends on (?P<other>.+)"),
        lambda found: str(gettext("%(one)s depends on %(other)s", one=found["one"], other=found["other"])),
    ),
)


def _names(text: str) -> str:
    """A list of names, of which the rest is only counted."""
    if found := _MORE_NAMES.fullmatch(text):
        return str(gettext("%(names)s and %(n)s other names", names=found[1], n=found[2]))
    if found := _MORE.fullmatch(text):
        return str(gettext("%(names)s and %(n)s more", names=found[1], n=found[2]))
    return text


def _clock(fact: Fact) -> str:
    target, state = str(fact.data.get("target", "")), str(fact.data.get("state", ""))
    return str(gettext("%(target)s: %(state)s", target=word(target, "target"), state=word(state, "clock")))


def _failover(fact: Fact) -> str:
    plan, state = str(fact.data.get("plan", "")), str(fact.data.get("state", ""))
    detail = fact.text.removeprefix(f"{plan}: {state} ")
    return str(gettext("%(plan)s: %(state)s %(detail)s", plan=plan, state=word(state, "run"), detail=detail))


def _told(fact: Fact) -> str:
    who, channel = fact.text.removesuffix(f" by {fact.by.name}"), fact.by.name
    if who == channel:
        return person(who)
    return str(gettext("%(who)s by %(channel)s", who=person(who), channel=channel))


def _step(fact: Fact) -> str:
    found = _STEP.fullmatch(fact.text)
    if found is None:
        return fact.text
    if found[2]:
        return str(gettext("step %(step)s, round %(round)s", step=found[1], round=found[2]))
    return str(gettext("step %(step)s", step=found[1]))


def _people(fact: Fact) -> str:
    return ", ".join(map(person, fact.text.split(", ")))


def _alerts(fact: Fact) -> str:
    because = str(fact.data.get("because", ""))
    names = _names(fact.text.removesuffix(f" ({because})"))
    return str(gettext("%(names)s (%(why)s)", names=names, why=reason(because))) if because else names


def _flapping(fact: Fact) -> str:
    times = fact.data.get("reopens", "?")
    since = _SINCE.search(fact.text)
    if since is None:
        return str(gettext("reopened %(n)s times; it is restored when it was quiet for a while", n=times))
    return str(gettext("quiet again after %(n)s re-fires since %(since)s", n=times, since=since[1]))


def _held(fact: Fact) -> str:
    hidden = fact.data.get("hidden", "?")
    text = gettext("the source cut %(n)s alerts off: not restored before its full list is known", n=hidden)
    return str(text)


def _muted(fact: Fact) -> str:
    return str(gettext("maintenance until %(until)s", until=fact.text.removeprefix("maintenance until ")))


def _cause(fact: Fact) -> str:
    number, _colon, why = fact.text.partition(": ")
    return f"{number}: {reason(why)}"


def _deadlines(fact: Fact) -> str:
    """respond 2026-11-25 02:10 UTC → 02:05 UTC: each target's word before what the record says."""
    moves = []
    for move in fact.text.split("; "):
        target, _space, times = move.partition(" ")
        old, _arrow, new = (
            str(gettext("none")) if time == "none" else time for time in times.partition(" → ")
        )
        moves.append(f"{word(target, 'target')} {old} → {new}")
    return "; ".join(moves)


_SAYS: Mapping[str, Callable[[Fact], str]] = {
    "clock": _clock,
    "failover": _failover,
    "told": _told,
    "step_taken": _step,
    "paging": _people,
    "assigned": _people,
    "alerts_joined": _alerts,
    "alerts_ended": _alerts,
    "alerts_silenced": _alerts,
    "alerts_inhibited": _alerts,
    "alerts_stale": _alerts,
    "alerts_firing": _alerts,
    "flapping_started": _flapping,
    "flapping_stopped": _flapping,
    "held": _held,
    "muted": _muted,
    "cause_suspected": _cause,
    "deadlines_moved": _deadlines,
}
