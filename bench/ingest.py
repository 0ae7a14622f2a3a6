"""How much the durable intake costs: requests/s and alerts/s against a view that only decodes JSON.

Both run on the same server (Granian, one process), with the same payloads, in one run; what counts are
the ratios. `python bench/ingest.py [--seconds 5] [--database URL]`
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sqlalchemy import func, select  # noqa: E402  # after the path is set

from bridge.store.database import connect  # noqa: E402
from bridge.store.schema import alerts  # noqa: E402
from tests import postgres  # noqa: E402  # the throw-away server of the tests

SIZES = (1, 10, 100)
CONNECTIONS = 64
TOKEN = "bench-token"

CONFIG = """
url: http://127.0.0.1
database: {database}
sources:
  main: {{type: alertmanager, token: {token}}}
clients:
  acme: {{name: Acme}}
priorities:
  P1: {{respond: 10m, restore: 1h}}
  P3: {{page: false}}
triage: [triage.yml]
policies:
  page: {{steps: [{{after: 0m, notify: [wall]}}]}}
channels:
  wall: {{type: console}}
"""
TRIAGE = """
- name: payments
  match: ['service="payments"']
  priority: P1
  incident_by: [client, gateway]
- name: rest
"""

BARE = """
import msgspec, os
from flask import Flask, request
from granian import Granian
from granian.constants import Interfaces

app = Flask(__name__)

@app.post("/ingest")
def ingest():
    return {"alerts": len(msgspec.json.decode(request.get_data())["alerts"])}

if __name__ == "__main__":
    Granian("bare:app", port=int(os.environ["PORT"]), interface=Interfaces.WSGI, workers=1,
            blocking_threads=64, log_enabled=False).serve()
"""

# Every request brings alerts never seen before: the counter is part of fingerprint and labels.
LUA = """
local size = tonumber(os.getenv("BENCH_SIZE"))
local path = os.getenv("BENCH_PATH")
local number = 0
local offset = 0
function setup(thread) end
function init(args) math.randomseed(os.time()); offset = math.random(1, 1000000000) end
local function one(n)
  return string.format('{"status":"firing","labels":{"alertname":"PaymentGatewayTimeout","service":"payments",' ..
    '"client":"acme","gateway":"g%d","severity":"critical","instance":"host-%d","region":"eu-west-1","job":"payments"},' ..
    '"annotations":{"summary":"Payment gateway times out","description":"p95 is 10 s on host %d, more than 2.5 s for 2 minutes",' ..
    '"runbook_url":"https://runbooks.example/PaymentGatewayTimeout"},"startsAt":"2026-11-22T03:51:09.684Z",' ..
    '"endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example/graph?g0.expr=x","fingerprint":"%016x"}',
    n % 5, n, n, n + offset)
end
function request()
  local parts = {}
  for i = 1, size do number = number + 1; parts[i] = one(number + offset) end
  local body = '{"receiver":"bridge","status":"firing","alerts":[' .. table.concat(parts, ",") .. '],"groupLabels":{},' ..
    '"commonLabels":{},"commonAnnotations":{},"externalURL":"http://am","version":"4","groupKey":"{}:{}","truncatedAlerts":0}'
  return wrk.format("POST", path, {["Authorization"] = "Bearer " .. os.getenv("BENCH_TOKEN"), ["Content-Type"] = "application/json"}, body)
end
"""


@dataclass(frozen=True)
class Result:
    """What one load gave."""

    requests: float
    p99_ms: float
    errors: int


def main() -> int:
    """Run both servers against the same loads and print ratios."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    given = options.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is missing: deploy/install.sh packages bench", file=sys.stderr)
        return 1
    kinds = ["sqlite", "postgresql"] if given.database == "both" else [given.database]
    with tempfile.TemporaryDirectory(prefix="opsbridge-bench-") as folder:
        work = Path(folder)
        (work / "load.lua").write_text(LUA)
        (work / "bare.py").write_text(BARE)
        rows = measure(work, kinds, given.seconds)
    report(rows)
    return 0


def measure(work: Path, kinds: list[str], seconds: int) -> dict[tuple[str, int], Result]:
    """Requests per second of every server with every size."""
    found: dict[tuple[str, int], Result] = {}
    port = postgres.free_port()
    with running([sys.executable, "bare.py"], work, port, "/", {"PORT": str(port)}):
        for size in SIZES:
            found["bare", size] = load(work, port, "/ingest", size, seconds)
    for kind in kinds:
        for size in SIZES:
            folder = work / f"{kind}-{size}"
            folder.mkdir()
            with database(kind, folder) as url:
                found[kind, size] = ours(folder, work, url, size, seconds)
    return found


def database(kind: str, folder: Path):
    """An empty durable database of a kind."""
    from contextlib import contextmanager, nullcontext

    if kind == "sqlite":
        return nullcontext(f"sqlite:///{folder}/bridge.db")

    @contextmanager
    def made():
        with postgres.server(durable=True) as server:
            yield postgres.new_database(server, "bench")

    return made()


def ours(folder: Path, work: Path, url: str, size: int, seconds: int) -> Result:
    """The intake of a bridge process without a worker (`bridge web`), fsync on."""
    (folder / "bridge.yml").write_text(CONFIG.format(database=url, token=TOKEN))
    (folder / "triage.yml").write_text(TRIAGE)
    command = [sys.executable, "-m", "bridge", "--config", "bridge.yml"]
    subprocess.run(
        [*command, "db", "upgrade"], cwd=folder, check=True, capture_output=True, env=environment()
    )
    port = postgres.free_port()
    with running([*command, "web", "--port", str(port)], folder, port, "/-/ready", {}):
        found = load(work, port, "/ingest/alertmanager/main", size, seconds)
    kept = stored(url)
    # The warm-up is kept too; fewer than what was answered would be a loss.
    assert kept >= found.requests * size * seconds * 0.95, (
        f"answered {found.requests * size * seconds:.0f} alerts, kept {kept}"
    )
    return found


def stored(url: str) -> int:
    """How many alerts the database holds."""
    database = connect(url)
    with database.reading() as connection:
        count: int = connection.execute(select(func.count()).select_from(alerts)).scalar_one()
    database.engine.dispose()
    return count


class running:  # noqa: N801  # reads as a phrase: with running(…)
    """A server process that answers on a port."""

    def __init__(self, command: list[str], folder: Path, port: int, path: str, extra: dict[str, str]) -> None:
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment() | extra,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        self.url = f"http://127.0.0.1:{port}{path}"

    def __enter__(self) -> None:
        for _ in range(150):
            try:
                urllib.request.urlopen(self.url, timeout=1)
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"{self.url} does not answer")

    def __exit__(self, *_: object) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()


def load(work: Path, port: int, path: str, size: int, seconds: int) -> Result:
    """One wrk run after a short warm-up."""
    extra = {"BENCH_SIZE": str(size), "BENCH_PATH": path, "BENCH_TOKEN": TOKEN}
    said = ""
    for length in (2, seconds):
        command = [
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{length}s",
            "--latency",
            "-s",
            str(work / "load.lua"),
            f"http://127.0.0.1:{port}",
        ]
        said = subprocess.run(
            command, env=environment() | extra, capture_output=True, text=True, check=True
        ).stdout
    rate = float(re.search(r"Requests/sec:\s*([\d.]+)", said)[1])
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    milli = float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000}[p99[2]]
    return Result(rate, milli, int(failed[1]) if failed else 0)


def environment() -> dict[str, str]:
    """The environment of every process of the bench."""
    return os.environ | {"PYTHONPATH": str(ROOT)}


def report(rows: dict[tuple[str, int], Result]) -> None:
    """Print the table."""
    print(
        f"{'server':<12}{'alerts/webhook':>15}{'webhooks/s':>12}{'alerts/s':>11}{'p99 ms':>9}{'errors':>8}{'× bare':>9}"
    )
    for (kind, size), found in rows.items():
        ratio = found.requests / rows["bare", size].requests
        print(
            f"{kind:<12}{size:>15}{found.requests:>12.0f}{found.requests * size:>11.0f}"
            f"{found.p99_ms:>9.1f}{found.errors:>8}{ratio:>9.2f}"
        )
    print(
        json.dumps(
            {
                f"{kind}/{size}": round(found.requests / rows["bare", size].requests, 3)
                for (kind, size), found in rows.items()
                if kind != "bare"
            }
        )
    )


if __name__ == "__main__":
    raise SystemExit(main())
