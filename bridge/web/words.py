"""Words of pages for the names that code, tables and facts use, each in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _

from bridge.text import visible
from bridge.web import access

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
        "deadlines_moved": _("Deadlines moved"),
        "alerts_silenced": _("Alerts silenced"),
        "alerts_inhibited": _("Alerts inhibited"),
        "alerts_stale": _("Alerts stale"),
        "alerts_firing": _("Alerts fire openly again"),
        "flapping_started": _("Flapping"),
        "flapping_stopped": _("Flapping is over"),
        "storm_over": _("The storm is over"),
        "held": _("In doubt"),
        "released": _("No longer in doubt"),
        "muted": _("Muted"),
        "unmuted": _("No longer muted"),
        "cause_suspected": _("Its cause may be"),
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
    "blind": {
        "Alertmanager does not answer": _("Alertmanager does not answer"),
        "Prometheus does not answer": _("Prometheus does not answer"),
        "Prometheus did not answer once": _("Prometheus did not answer once"),
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


def word(name: str, family: str) -> Any:
    """The word for a name of a family; an unknown name stands for itself."""
    return WORDS[family].get(name, name)


def person(name: str) -> str:
    """A responder by the name people call them; other names stand for themselves."""
    known = access.bridge().config.people.get(name)
    return known.name if known else visible(name)
