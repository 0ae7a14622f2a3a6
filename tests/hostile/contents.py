"""Hostile contents of a body that is JSON (H-12 to H-14): types, sizes, times and versions."""

from __future__ import annotations

from typing import Any

from tests.hostile.bodies import MEGABYTE, STARTED, Body, kept, one, taken, webhook


def start(what: str, value: Any) -> Body:
    """A start that cannot be believed: the time of arrival stands for it."""
    body = webhook(one(f"starts {what}", startsAt=value))
    return taken(
        "H-13", f"startsAt {what}", body, sees=lambda row: row.starts_at == row.first_seen, flawed=True
    )


def end(what: str, value: Any) -> Body:
    """An end that cannot be believed."""
    alert = one(f"ends {what}", status="resolved", endsAt=value)
    return taken(
        "H-13",
        f"endsAt {what}",
        webhook(alert),
        sees=lambda row: row.ends_at is not None and row.ends_at >= row.starts_at,
        flawed=True,
    )


def status(value: Any) -> Body:
    """A status nobody knows is taken as firing."""
    name = f"status {str(value)[:20]!r}"
    body = webhook(one(name, status=value))
    return taken("H-14", name, body, sees=lambda row: row.state == "firing", flawed=True)


def beside(what: str, alert: Any) -> Body:
    """An alert that cannot be read, between two that can."""
    mark = f"lost words of {what}"
    odd = {**alert, "annotations": {"summary": mark}} if isinstance(alert, dict) else mark
    body = webhook(one(f"before {what}"), odd, one(f"after {what}"))
    return taken("H-12", what, body, 2, kept=(mark.encode(),))


def labels(what: str, found: dict[str, Any], **other: Any) -> Body:
    """One alert with these labels."""
    return taken("H-12", what, webhook(one("", labels={"alertname": what, **found})), **other)


def many(count: int, *, incidents: bool) -> Body:
    """A storm in one body, of one problem or of as many as there are alerts."""

    def made() -> bytes:
        names = (f"storm {count} {number if incidents else ''}" for number in range(count))
        alerts = (one(name, labels={"alertname": name, "i": str(i)}) for i, name in enumerate(names))
        return webhook(*alerts)

    what = f"{count:,} alerts of {'as many incidents' if incidents else 'one incident'}"
    # The work grows with the alerts. A hundred thousand in one body are over 40 MB, which no group of
    # Alertmanager's is; they must be stored and hold nobody up, but not as fast as ten thousand.
    return taken("H-12", what, made, count, seconds=2.0 if count <= 10_000 else 10.0)


_KINDS = {"number": 7, "part": 1.5, "list": ["x"], "object": {"a": 1}, "yes": True, "nothing": None}
_READ = {"number": "7", "part": "1.5", "list": '["x"]', "object": '{"a": 1}', "yes": "true", "nothing": ""}

SIZES = [
    beside("labels null", {"labels": None}),
    beside("labels missing", {}),
    beside("labels empty", {"labels": {}}),
    beside("labels a list", {"labels": ["a"]}),
    beside("labels a text", {"labels": "a=b"}),
    beside("labels a number", {"labels": 7}),
    beside("labels pairs", {"labels": [["alertname", "x"]]}),
    beside("an alert that is a text", "text"),
    kept("H-12", "no alerts", webhook()),
    kept("H-12", "alerts missing", b'{"version": "4"}'),
    kept("H-12", "alerts an object", b'{"version": "4", "alerts": {"a": {}}}'),
    kept("H-12", "alerts a text", b'{"version": "4", "alerts": "alerts"}'),
    kept("H-12", "no alert that is one", b'{"version": "4", "alerts": [null, 7, "x", []]}'),
    labels("labels of all kinds", _KINDS, flawed=True, sees=lambda row: _READ.items() <= row.labels.items()),
    labels("5,000 labels", {f"l{i}": f"mark{i}" for i in range(5_000)}, words=("mark4999",), flawed=True),
    labels("a name of 10 kB", {"n" * 10_000: "value"}, words=("n" * 10_000,)),
    labels("a value of 1 MB", {"v": "v" * MEGABYTE}, words=("v" * MEGABYTE,)),
    labels("a name of 1 MB", {"alertname": "a" * MEGABYTE}, words=("a" * MEGABYTE,)),
    labels("a service of 1 MB", {"service": "s" * MEGABYTE, "case": "1"}, words=("s" * MEGABYTE,)),
    labels("no alertname", {"alertname": "", "x": "y"}),
    labels("our own alert", {"alertname": "BridgeQuarantine", "service": "opsbridge", "source": "opsbridge"}),
    taken(
        "H-12",
        "annotations a list",
        webhook(one("a list", annotations=["lost list"])),
        words=("lost list",),
        flawed=True,
    ),
    taken(
        "H-12",
        "annotations a text",
        webhook(one("a text", annotations="lost text")),
        words=("lost text",),
        flawed=True,
    ),
    taken("H-12", "1 MB of emoji", webhook(one("emoji", annotations={"summary": "\U0001f469" * 2**18}))),
    taken(
        "H-12",
        "a link of 1 MB",
        webhook(one("link", generatorURL="http://x.test/" + "l" * MEGABYTE + "end")),
        words=("llend",),
    ),
    taken("H-12", "a group of 1 MB", webhook(one("long group"), groupKey="g" * MEGABYTE)),
    taken("H-12", "a group of all kinds", webhook(one("odd group"), groupKey=[1], receiver={"a": 1})),
    taken("H-12", "routeLabels a list", webhook(one("routes"), routeLabels=[1]), flawed=True),
    taken("H-12", "truncatedAlerts a list", webhook(one("cut"), truncatedAlerts=[{}]), flawed=True),
    taken("H-12", "truncatedAlerts below zero", webhook(one("cut below"), truncatedAlerts=-1), flawed=True),
    taken("H-12", "truncatedAlerts of 30 digits", webhook(one("cut much"), truncatedAlerts=10**30)),
]

# Who two alerts are, when the sender is careless about it.
IDENTITIES = [
    taken(
        "H-12",
        "one fingerprint for two alerts",
        webhook(one("same 1", fingerprint="same"), one("same 2", fingerprint="same")),
        2,
    ),
    taken(
        "H-12",
        "fingerprints that are no text",
        webhook(*(one(f"none {i}", fingerprint=value) for i, value in enumerate([7, 7, None, "", []]))),
        5,
    ),
    taken(
        "H-12",
        "fingerprints that differ in what cannot be stored",
        webhook(one("lone 1", fingerprint="\ud800"), one("lone 2", fingerprint="\ud801")),
        2,
        flawed=True,
    ),
    taken("H-12", "a fingerprint of 1 MB", webhook(one("long", fingerprint="f" * MEGABYTE))),
    taken("H-12", "the same alert a thousand times", webhook(*[one("again")] * 1_000)),
]

TIMES = [
    start("year 1", "0001-01-01T00:00:00Z"),
    start("year 1 east of Greenwich", "0001-01-01T00:00:00+14:00"),
    start("year 9999", "9999-12-31T23:59:59Z"),
    start("year 9999 west of Greenwich", "9999-12-31T23:59:59-14:00"),
    start("year 10000", "10000-01-01T00:00:00Z"),
    start("-1", "-1"),
    start("a number", 1764032400),
    start("nothing", None),
    start("a list", [STARTED]),
    start("of 1 MB", "2" * MEGABYTE),
    start("no zone", "2026-11-25T01:00:00"),
    start("24:00", "2026-11-24T24:00:00Z"),
    start("leap second", "2026-11-24T23:59:60Z"),
    start("30 February", "2026-02-30T00:00:00Z"),
    start("full-width digits", "\uff12\uff1026-11-25T01:00:00Z"),
    start("ten years ahead", "2036-11-25T01:00:00Z"),
    taken(
        "H-13",
        "startsAt nanoseconds",
        webhook(one("nanoseconds", startsAt="2026-11-25T01:00:00.123456789Z")),
        sees=lambda row: row.starts_at.second == 0 and row.starts_at.microsecond // 1000 == 123,
    ),
    end("year 1", "0001-01-01T00:00:00Z"),
    end("year 9999", "9999-12-31T23:59:59Z"),
    end("ten years ahead", "2036-11-25T01:00:00Z"),
    end("nothing", None),
    end("before the start", "2026-11-25T00:00:00Z"),
]

VERSIONS = [
    *(
        kept("H-14", f"version {value!r}", webhook(one("version"), version=value))
        for value in ("5", None, "", "4.0", [], {"a": 1}, 5)
    ),
    kept("H-14", "version of 1 MB", webhook(one("version"), version="5" * MEGABYTE)),
    taken("H-14", "version as a number", webhook(one("version 4"), version=4)),
    *map(status, ("suppressed", "FIRING", "Resolved", None, 5, [], "x" * 10_000)),
    taken("H-14", "fields nobody knows", webhook(one("new", zz={"a": [1] * 1_000}), __proto__={"a": None})),
    kept("H-14", "names in the wrong case", b'{"Version": "4", "Alerts": [{"Labels": {"alertname": "x"}}]}'),
]

STORMS = [many(10_000, incidents=False), many(10_000, incidents=True), many(100_000, incidents=False)]
