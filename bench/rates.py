"""Part `ingest`: webhooks and alerts a second, beside a view that only decodes."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from bench import servers, wrk
from bench.goals import Goal, Results
from bench.wrk import Rate
from bridge.store.schema import alerts

SIZES = (1, 10, 100)
# The share of the bare view that durable intake on SQLite must reach.
_OF_BARE = {1: 0.45, 100: 0.35}
_OF_SQLITE = 0.5


def measure(results: Results, work: Path, kinds: list[str], seconds: int, rounds: int) -> None:
    """Every server with every size, `rounds` times; ratios are those of one round, and their median counts."""
    print(f"{'server':<12}{'alerts/webhook':>15}{'webhooks/s':>12}{'alerts/s':>11}{'p99 ms':>9}{'errors':>8}")
    found: dict[tuple[str, int], list[Rate]] = {}
    for number in range(rounds):
        for size in SIZES:
            for kind in ("bare", *kinds):
                rate = one(work / f"rate-{number}", kind, size, seconds)
                found.setdefault((kind, size), []).append(rate)
                print(line(kind, size, rate), flush=True)
    for kind in kinds:
        for size in SIZES:
            share = ratio(found[kind, size], found["bare", size])
            results.figures[f"{kind}/bare at {size}"] = share
            results.figures[f"{kind} webhooks/s at {size}"] = median(r.webhooks for r in found[kind, size])
            print(f"{kind} / bare at {size:>3} alerts a webhook: {share:.3f}")
            if kind == "sqlite" and size in _OF_BARE:
                results.goals.append(Goal(f"sqlite / bare at {size}", share, _OF_BARE[size]))
            if kind == "postgresql" and "sqlite" in kinds:
                share = ratio(found[kind, size], found["sqlite", size])
                results.goals.append(Goal(f"postgresql / sqlite at {size}", share, _OF_SQLITE))


def one(folder: Path, kind: str, size: int, seconds: int) -> Rate:
    """A fresh server of a kind at full speed; what it answered must be in its database."""
    if kind == "bare":
        with servers.bare(folder / "bare") as started:
            return wrk.full_speed(started.port, "/ingest", size, seconds)
    place = folder / f"{kind}-{size}"
    with servers.database(kind, place) as url:
        with servers.bridge(place, url) as started:
            rate = wrk.full_speed(started.port, servers.INGEST, size, seconds)
        kept = servers.count(url, alerts)
    if kept < rate.answered * size:
        raise RuntimeError(f"{kind}: answered {rate.answered * size} alerts, kept {kept}")
    return rate


def line(name: str, size: int, rate: Rate) -> str:
    """A row of the table."""
    return f"{name:<12}{size:>15}{rate.webhooks:>12.0f}{rate.webhooks * size:>11.0f}{rate.p99_ms:>9.1f}{rate.errors:>8}"


def ratio(ours: list[Rate], other: list[Rate]) -> float:
    """Webhooks a second of the one by those of the other, round by round; the median."""
    if not all(their.webhooks for their in other):
        return float("nan")  # a goal with it is not met
    return median(our.webhooks / their.webhooks for our, their in zip(ours, other, strict=True))
