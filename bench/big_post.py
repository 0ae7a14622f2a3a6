"""Part `big`: one POST of 10,000 alerts, its time and the memory it takes."""

from __future__ import annotations

import http.client
import time
from pathlib import Path

from bench import payload, servers
from bench.goals import Goal, Results
from bridge.store.schema import alerts

SIZE = 10_000
_MOST_SECONDS = 3
_MOST_MB = 400
_PATIENCE = 120


def measure(results: Results, work: Path, kinds: list[str], rounds: int) -> None:
    """A fresh process for each round; the worst round counts."""
    body = payload.webhook(payload.alert(number) for number in range(SIZE))
    for kind in kinds:
        found = [_once(work / f"big-{kind}-{number}", kind, body) for number in range(rounds)]
        seconds, repeated, before, peak = (max(values) for values in zip(*found, strict=True))
        print(
            f"{kind}: {SIZE} alerts in {len(body) / 1e6:.1f} MB: {seconds:.2f} s, sent again {repeated:.2f} s; "
            f"memory at most {before:.0f} MB before, {peak:.0f} MB after"
        )
        results.goals += [
            Goal(f"{kind} seconds for {SIZE} alerts in one POST", seconds, _MOST_SECONDS, most=True),
            Goal(f"{kind} peak MB of its processes", peak, _MOST_MB, most=True),
        ]


def _once(place: Path, kind: str, body: bytes) -> tuple[float, float, float, float]:
    """Seconds for the POST and for the same again; peak memory in MB before and after both."""
    with servers.database(kind, place) as url:
        with servers.bridge(place, url) as started:
            post(started.port, payload.webhook([payload.alert(SIZE)]))  # the first webhook loads modules
            before = started.peak_mb()
            seconds = post(started.port, body)
            repeated = post(started.port, body)
            peak = started.peak_mb()
        kept = servers.count(url, alerts)
    if kept != SIZE + 1:
        raise RuntimeError(f"{kind}: sent {SIZE + 1} alerts, kept {kept}")
    return seconds, repeated, before, peak


def post(port: int, body: bytes) -> float:
    """Seconds from the first byte sent to the answer 200; raises RuntimeError for any other answer."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    line.connect()
    headers = {"Authorization": f"Bearer {payload.TOKEN}", "Content-Type": "application/json"}
    start = time.perf_counter()
    line.request("POST", servers.INGEST, body, headers)
    answer = line.getresponse()
    said = answer.read()
    seconds = time.perf_counter() - start
    line.close()
    if answer.status != 200:
        raise RuntimeError(f"answered {answer.status}: {said[:300]!r}")
    return seconds
