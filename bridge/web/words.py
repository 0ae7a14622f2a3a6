"""Words of pages for the names that code, tables and facts use, each in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask_babel import gettext
from flask_babel import lazy_gettext as _

from bridge.model import Fact

WORDS: Mapping[str, Mapping[str, Any]] = {
    "status": {
        "triggered": _("triggered"),
        "acknowledged": _("acknowledged"),
        "resolved": _("resolved"),
        "closed": _("closed"),
    },
    "target": {"respond": _("respond"), "restore": _("restore"), "plan": _("plan"), "fix": _("fix")},
    "clock": {
        "running": _("running"),
        "paused": _("paused"),
        "met": _("met"),
        "at_risk": _("at risk"),
        "breached": _("breached"),
    },
    "alert": {
        "firing": _("firing"),
        "resolved": _("resolved"),
        "silenced": _("silenced"),
        "inhibited": _("inhibited"),
        "stale": _("stale"),
    },
    "fact": {
        "opened": _("Opened"),
        "alerts_joined": _("Alerts joined"),
        "alerts_ended": _("Alerts ended"),
        "acknowledged": _("Acknowledged"),
        "resolved": _("Resolved"),
        "closed": _("Closed"),
        "reopened": _("Reopened"),
        "noted": _("Note"),
        "planned": _("Plan told"),
        "assigned": _("Handed over to"),
        "escalated": _("Escalated"),
        "step_taken": _("Escalation"),
        "policy_ended": _("Escalation policy ended"),
        "paging": _("Paging"),
        "nobody_to_page": _("Nobody to page"),
        "told": _("Told"),
        "not_told": _("Not reached"),
        "failover": _("Failover"),
        "clock": _("Clock"),
        "priority_changed": _("Priority changed"),
    },
    "task": {"page": _("message"), "ticket": _("ticket"), "failover": _("failover"), "report": _("report")},
    "reason": {
        "page": _("page"),
        "resolved": _("resolved"),
        "at_risk": _("clock at risk"),
        "breached": _("clock breached"),
        "failover": _("failover"),
    },
    "delivery": {"pending": _("on its way"), "done": _("delivered"), "dead": _("given up")},
    "run": {
        "intended": _("about to start"),
        "checking": _("checking"),
        "acting": _("switching"),
        "verifying": _("verifying"),
        "done": _("done and verified"),
        "shadow": _("would have switched (shadow)"),
        "suggested": _("ready, waits for a person"),
        "blocked": _("blocked by a guard"),
        "refused": _("not switched"),
        "failed": _("failed"),
        "unknown": _("outcome unknown"),
        "expired": _("too late, not switched"),
    },
    "direction": {"to_standby": _("to the standby"), "back": _("back to the primary")},
    "mode": {"off": _("off"), "shadow": _("shadow"), "suggest": _("suggest"), "auto": _("automatic")},
    "guard": {
        "mode": _("Mode of the plan"),
        "kill_switch": _("Kill switch"),
        "incident_open": _("Incident is open"),
        "valid": _("Decision is fresh"),
        "one_in_flight": _("No other run in flight"),
        "cooldown": _("Cooldown is over"),
        "per_day": _("Runs in 24 hours"),
        "per_hour_all": _("Runs of all plans in an hour"),
    },
    "error": {
        "400": _("That could not be understood"),
        "401": _("Please sign in"),
        "403": _("Not allowed"),
        "404": _("Not found"),
        "405": _("Not possible this way"),
        "409": _("Not possible now"),
        "413": _("Too large"),
        "500": _("Something broke"),
        "503": _("Not now"),
    },
    "help": {
        "400": _("Go back, load the page again and send the form once more."),
        "401": _("Your session has ended."),
        "403": _("Your account may not do this. An administrator can change its role."),
        "404": _("The address is wrong, or what was here is gone."),
        "405": _("Pages act by their buttons, not by opening an address."),
        "409": _("Somebody may have been faster: look at the incident's timeline."),
        "413": _("Send less text."),
        "500": _("It was written to the log. Alerts are taken in and people are paged all the same."),
        "503": _("The database is busy or away. Wait a moment and load the page again."),
    },
}

# What machines write on the timeline in fixed words.
_SAID: Mapping[str, Any] = {
    "all alerts are quiet": _("all alerts are quiet"),
    "over already": _("it was over already when it became known"),
    "it fires again": _("it fires again"),
}
_STEP = re.compile(r"step (\d+)(?:, round (\d+))?")
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
}


def word(name: str, family: str) -> Any:
    """The word for a name of a family; an unknown name stands for itself."""
    return WORDS[family].get(name, name)


def group(fact: Fact) -> str:
    """Which filter of the timeline shows a fact: people, alerts, messages or failover."""
    return _GROUPS.get(fact.kind, "alerts" if fact.by.via in _MACHINES else "people")


def said(fact: Fact) -> Any:
    """What a fact says, translated where machines wrote it; people's words stay as they are."""
    if fact.kind == "clock":
        target, state = str(fact.data.get("target", "")), str(fact.data.get("state", ""))
        return gettext("%(target)s: %(state)s", target=word(target, "target"), state=word(state, "clock"))
    if fact.kind == "failover":
        plan, state = str(fact.data.get("plan", "")), str(fact.data.get("state", ""))
        detail = fact.text.removeprefix(f"{plan}: {state} ")
        return gettext("%(plan)s: %(state)s %(detail)s", plan=plan, state=word(state, "run"), detail=detail)
    if fact.kind == "told":
        who = fact.text.removesuffix(f" by {fact.by.name}")
        return gettext("%(who)s by %(channel)s", who=who, channel=fact.by.name)
    step = _STEP.fullmatch(fact.text) if fact.kind == "step_taken" else None
    if step and step[2]:
        return gettext("step %(step)s, round %(round)s", step=step[1], round=step[2])
    if step:
        return gettext("step %(step)s", step=step[1])
    return _SAID.get(fact.text, fact.text) if fact.by.via in _MACHINES else fact.text
