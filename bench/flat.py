"""Part `flat`: does an alert cost more when a million episodes are stored already?"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import monotonic

from bench import client, fill, payload, servers
from bench.goals import Goal, Results

WEBHOOKS = 2_000
SIZE = 10
_WARM_UP = 200
_MOST = 1.3


def measure(results: Results, work: Path, kinds: list[str], rounds: int, stored: int) -> None:
    """The same webhooks into an empty database and into a full one, in turns; the median ratio counts."""
    for kind in kinds:
        place = work / f"flat-{kind}"
        with servers.database(kind, place) as full:
            begun = monotonic()
            there = fill.fill(full, place, stored)
            print(f"{kind}: {there} episodes stored in {monotonic() - begun:.0f} s", flush=True)
            ratios = [_round(place, kind, full, number) for number in range(rounds)]
        ratio = median(ratios)
        results.goals.append(Goal(f"{kind} cost with {there} episodes / empty", ratio, _MOST, most=True))


def _round(place: Path, kind: str, full: str, number: int) -> float:
    requests = _requests(number)
    folder = place / f"empty-{number}"
    with servers.database(kind, folder) as empty:
        alone = _cost(folder, empty, requests)
    among = _cost(place, full, requests)
    print(f"{kind}: {alone:.0f} µs an alert empty, {among:.0f} µs full: {among / alone:.2f}", flush=True)
    return among / alone


def _cost(folder: Path, url: str, requests: list[bytes]) -> float:
    """Microseconds an alert at full speed, by a fresh process."""
    with servers.bridge(folder, url) as started:
        client.play(started.port, requests[:_WARM_UP])
        played = client.play(started.port, requests[_WARM_UP:])
    if played.failures:
        raise RuntimeError(f"{played.failures} of {len(requests) - _WARM_UP} webhooks were not stored")
    return played.seconds / (len(requests) - _WARM_UP) / SIZE * 1e6


def _requests(number: int) -> list[bytes]:
    """Webhooks of a round: half of their alerts are new series, half new episodes of stored ones."""
    now = payload.moment(datetime.now(UTC))
    total = WEBHOOKS + _WARM_UP
    bodies = []
    for webhook in range(total):
        alerts = []
        for place in range(SIZE):
            one = (number * total + webhook) * SIZE + place
            told = payload.alert(1_000_000 + one, starts_at=now)
            if place % 2:
                series = one // 2 % (fill.SERIES * fill.VARIANTS)
                told["fingerprint"] = fill.known_fingerprint(series % fill.SERIES, series // fill.SERIES)
            alerts.append(told)
        bodies.append(client.http_post(servers.INGEST, payload.webhook(alerts)))
    return bodies
