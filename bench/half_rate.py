"""Part `half-rate`: how long a single alert waits for its 200 at half of the most a server takes."""

from __future__ import annotations

from pathlib import Path

from bench import client, payload, servers, wrk
from bench.goals import Goal, Results

_MOST_MS = 100
_FIRST = 3_900_000_000  # numbers that no run of wrk reaches


def measure(results: Results, work: Path, kinds: list[str], seconds: int) -> None:
    """On each database: the maximum by wrk, then half of it at an even pace against the same process."""
    for kind in kinds:
        place = work / f"half-{kind}"
        with servers.database(kind, place) as url, servers.bridge(place, url) as started:
            most = wrk.full_speed(started.port, servers.INGEST, 1, max(2, seconds // 2)).webhooks
            rate = most / 2
            requests = [
                client.http_post(servers.INGEST, payload.webhook([payload.alert(_FIRST + number)]))
                for number in range(int(rate * seconds))
            ]
            played = client.play(started.port, requests, rate)
        told = {part: client.percentile(played.answers, part) * 1000 for part in (0.5, 0.99, 1.0)}
        lag = client.percentile(played.lags, 0.99) * 1000
        print(
            f"{kind}: {rate:.0f} single alerts a second (half of {most:.0f}), {len(requests)} in "
            f"{played.seconds:.1f} s: median {told[0.5]:.1f} ms, p99 {told[0.99]:.1f} ms, "
            f"longest {told[1.0]:.1f} ms; {played.failures} failed; the client itself was late by {lag:.1f} ms (p99)"
        )
        results.figures[f"{kind} half rate"] = rate
        results.goals += [
            Goal(f"{kind} p99 ms of a single alert at half rate", told[0.99], _MOST_MS, most=True),
            Goal(f"{kind} failed answers at half rate", played.failures, 0, most=True),
        ]
