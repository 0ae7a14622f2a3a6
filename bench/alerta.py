"""Part `alerta`: Alerta beside us, with the same payloads in the same run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import client, payload, rates, servers
from bench.goals import Goal, Results
from bench.wrk import Rate
from tests import postgres

# Pinned, so that a figure keeps its meaning; `make bench` of a later day measures the same program.
PACKAGES = (
    *("alerta-server==9.1.0", "flask==3.1.3", "werkzeug==3.1.9"),
    *("psycopg2-binary==2.9.13", "gunicorn==27.0.1"),
)
WORKERS = 2
_PATH = "/webhooks/prometheus"
_HOME = servers.ROOT / "var" / "bench" / "alerta"
# Enough to keep two workers busy. wrk would break off what takes half a second each, so it gets a number of
# webhooks and all the time it needs for them.
_CONNECTIONS = 4
_WARM_UP = 4


@dataclass(frozen=True)
class _Load:
    """Alerts in a webhook, how many webhooks, and how many times Alerta's webhooks a second ours must be."""

    size: int
    webhooks: int
    times: int


_LOADS = (_Load(1, 1000, 12), _Load(100, 60, 60))


def measure(results: Results, work: Path, kinds: list[str], seconds: int, rounds: int) -> None:
    """Its Prometheus webhook on a durable PostgreSQL, gunicorn with two workers, no authentication."""
    install()
    print(f"{'server':<12}{'alerts/webhook':>15}{'webhooks/s':>12}{'alerts/s':>11}{'p99 ms':>9}{'errors':>8}")
    for load in _LOADS:
        found: dict[str, list[Rate]] = {}
        for number in range(rounds):
            place = work / f"alerta-{load.size}-{number}"
            for kind in ("alerta", *kinds):
                alone = kind == "alerta"
                rate = _one(place, load) if alone else rates.one(place, kind, load.size, seconds)
                found.setdefault(kind, []).append(rate)
                print(rates.line(kind, load.size, rate), flush=True)
        for kind in kinds:
            ratio = rates.ratio(found[kind], found["alerta"])
            results.figures[f"{kind}/alerta at {load.size}"] = ratio
            print(f"{kind} / alerta at {load.size:>3} alerts a webhook: {ratio:.1f}")
            if kind == kinds[0]:
                results.goals.append(Goal(f"{kind} / alerta at {load.size}", ratio, load.times))


def install() -> None:
    """Its own virtual environment below var/bench, made when there is none of these versions. Raises RuntimeError with pip's last words."""
    wanted, done = "\n".join(PACKAGES), _HOME / "installed"
    if done.exists() and done.read_text() == wanted:
        return
    print(f"installing {' '.join(PACKAGES)} into {_HOME.relative_to(servers.ROOT)}", flush=True)
    _HOME.parent.mkdir(parents=True, exist_ok=True)
    _said([sys.executable, "-m", "venv", "--clear", str(_HOME)])
    _said([*_python(), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES])
    done.write_text(wanted)


def _one(folder: Path, load: _Load) -> Rate:
    """A fresh Alerta, as fast as it takes them; what it answered must be in its database."""
    total = load.webhooks + _WARM_UP
    # It takes any Bearer token for a signed one and refuses ours, although it asks for none.
    requests = [
        client.http_post(
            _PATH,
            payload.webhook(map(payload.alert, range(number * load.size, (number + 1) * load.size))),
            token="",
        )
        for number in range(total)
    ]
    with _running(folder) as (started, database):
        client.play(started.port, requests[:_WARM_UP], connections=_CONNECTIONS)
        played = client.play(started.port, requests[_WARM_UP:], connections=_CONNECTIONS)
        kept = _kept(database)
    if played.failures or kept < total * load.size:
        raise RuntimeError(
            f"alerta: {played.failures} of {load.webhooks} webhooks failed; told {total * load.size} alerts, kept {kept}"
        )
    p99 = client.percentile(played.answers, 0.99) * 1000
    return Rate(load.webhooks / played.seconds, p99, played.failures, len(played.answers))


@contextmanager
def _running(folder: Path) -> Iterator[tuple[servers.Server, str]]:
    folder.mkdir(parents=True, exist_ok=True)
    with postgres.server(durable=True) as cluster:
        database = postgres.new_database(cluster, "alerta").replace("+psycopg", "")
        extra = {"DATABASE_URL": database, "AUTH_REQUIRED": "False", "HOME": str(folder)}
        # Its workers make the tables when they start, and two at once trip over each other.
        _said([*_python(), "-c", "from alerta.app import create_app; create_app()"], extra)
        port = postgres.free_port()
        command = [
            *(*_python(), "-m", "gunicorn", "--workers", str(WORKERS), "--no-control-socket"),
            *("--bind", f"127.0.0.1:{port}", "alerta.app:create_app()"),
        ]
        with servers.server(command, folder, port, "/alerts/count", extra) as started:
            yield started, database


def _kept(database: str) -> int:
    import psycopg

    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM alerts").fetchone()
    return int(row[0]) if row else 0


def _python() -> tuple[str, ...]:
    return (str(_HOME / "bin" / "python"),)


def _said(command: list[str], extra: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, env=os.environ | (extra or {}), capture_output=True, text=True, check=False, cwd=_HOME.parent
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed: {(done.stderr or done.stdout)[-1500:]}")
