"""Load as fast as a server takes it, made by wrk with one thread."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.payload import TOKEN
from bench.servers import environment

CONNECTIONS = 64
WARM_UP_SECONDS = 2
# wrk hangs up at its end; what was under way then is still worked off.
SETTLE_SECONDS = 1.0
_SCRIPT = Path(__file__).with_name("load.lua")
# Each run has its own range of numbers: no alert is ever sent twice.
_firsts = itertools.count(0, 20_000_000)


@dataclass(frozen=True)
class Rate:
    """What one run gave. `answered`: webhooks answered 2xx, those of the warm-up too."""

    webhooks: float
    p99_ms: float
    errors: int
    answered: int


def missing() -> str:
    """Why wrk cannot be used; empty when it can."""
    return "" if shutil.which("wrk") else "wrk is missing: deploy/install.sh packages bench"


def full_speed(port: int, path: str, size: int, seconds: int) -> Rate:
    """The most webhooks of `size` alerts a second that a server takes."""
    warm_up = _run(port, path, size, WARM_UP_SECONDS)
    time.sleep(SETTLE_SECONDS)
    run = _run(port, path, size, seconds)
    p99 = _found(r"99%\s+([\d.]+)(us|ms|s|m)", run.said)
    return Rate(
        webhooks=float(_found(r"Requests/sec:\s*([\d.]+)", run.said)[1]),
        p99_ms=float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[p99[2]],
        errors=run.errors,
        answered=warm_up.answered + run.answered,
    )


@dataclass(frozen=True)
class _Run:
    said: str
    answered: int
    errors: int


def _run(port: int, path: str, size: int, seconds: int) -> _Run:
    extra = {
        "BENCH_SIZE": str(size),
        "BENCH_PATH": path,
        "BENCH_TOKEN": TOKEN,
        "BENCH_FIRST": str(next(_firsts)),
    }
    command = [
        *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "20s", "--latency"),
        *("-s", str(_SCRIPT), f"http://127.0.0.1:{port}"),
    ]
    done = subprocess.run(command, env=environment() | extra, capture_output=True, text=True, check=True)
    said = done.stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    bad = int(refused[1]) if refused else 0
    lost = sum(map(int, broken.groups())) if broken else 0
    return _Run(said, int(_found(r"(\d+) requests in", said)[1]) - bad, bad + lost)


def _found(pattern: str, said: str) -> re.Match[str]:
    match = re.search(pattern, said)
    if match is None:
        raise RuntimeError(f"wrk said something else:\n{said[-1000:]}")
    return match
