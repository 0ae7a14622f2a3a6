"""`bridge run --demo`: an outage from the first failed payment to the client's report, as it happens."""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bridge.demo.program import ProgramFailed
from bridge.demo.scene import CLIENT, PLAN, GaveUp, Scene, SceneConfig
from bridge.demo.stack import backfill, missing
from bridge.demo.traffic import Mode

_TOLD = {
    "opened": "P1 opened",
    "paging": "paging",
    "told": "told",
    "step_taken": "escalation",
    "failover": "failover",
    "alerts_joined": "alerts joined",
    "alerts_ended": "alerts ended",
    "resolved": "restored",
    "closed": "closed",
    "noted": "note",
}


class _Teller:
    """Prints one line for each thing that happens, with the seconds since the first payment failed."""

    def __init__(self) -> None:
        self.zero = time.time()
        self._heard: set[tuple[str, str, str]] = set()

    def say(self, what: str, detail: str = "", at: float | None = None) -> None:
        seconds = (at if at is not None else time.time()) - self.zero
        click.echo(f"{seconds:+7.1f} s  {click.style(what.ljust(14), bold=True)} {detail}")

    def news(self, incident: dict[str, Any]) -> None:
        """Tell what is new on an incident's timeline."""
        for fact in incident["timeline"]:
            mark = (fact["at"], fact["kind"], fact["text"])
            if mark not in self._heard and fact["kind"] in _TOLD:
                self._heard.add(mark)
                at = datetime.fromisoformat(fact["at"]).timestamp()
                self.say(_TOLD[fact["kind"]], f"{incident['number']} {fact['text']}", at)


def play(host: str, port: int) -> int:
    """Play the story; 0 when every part of it happened. Stays afterwards when somebody watches."""
    if host != "127.0.0.1":
        click.echo("the demo only serves on 127.0.0.1", err=True)
        return 2
    absent = missing()
    if absent:
        click.echo(
            f"the demo runs the real programs; please install: apt-get install {' '.join(absent)}", err=True
        )
        return 1
    with tempfile.TemporaryDirectory(prefix="opsbridge-demo-") as folder:
        try:
            return _play(Path(folder), port)
        except (ProgramFailed, GaveUp) as error:
            click.secho(f"the demo stopped: {error}", fg="red", err=True)
            return 1
        except KeyboardInterrupt:
            return 0


def _play(work: Path, port: int) -> int:
    now = datetime.now(UTC)
    scene = Scene(SceneConfig(work, port))
    click.echo("Writing some weeks of history into Prometheus …")
    backfill(scene.stack.data_dir, now.strftime("%Y-%m"), CLIENT, now)
    with scene:
        link = next((line for line in scene.bridge.log_tail().splitlines() if "sign-in" in line), "")
        click.echo(f"Console: {scene.url}   {link.strip()}")
        scene.wait_for(lambda: (scene.success_ratio() or 0) > 0.98, "payments to flow", 60)
        _outage(scene)
        _report(scene, now.strftime("%Y-%m"))
        if sys.stdout.isatty():
            click.echo(f"The console stays at {scene.url}; end with Ctrl-C.")
            while True:
                time.sleep(3600)
    return 0


def _outage(scene: Scene) -> None:
    teller = _Teller()
    scene.gateway.break_channel("primary", Mode.TIMEOUT)
    teller.say("broken", "the primary payment channel answers nothing any more")
    number = _follow(scene, teller, "opened")
    _follow(scene, teller, "resolved", number)
    state = scene.gateway.state()
    teller.say("gateway", f"active channel: {state['active']}, switches: {state['switches']}")
    scene.gateway.recover()
    scene.api(
        "POST",
        f"/api/v1/incidents/{number}/close",
        text="The provider's primary channel timed out; the standby carried the traffic.",
    )
    _follow(scene, teller, "closed", number)


def _follow(scene: Scene, teller: _Teller, until: str, number: int | None = None) -> int:
    """Tell everything that happens on the P1 until a fact of this kind."""

    def look() -> int | None:
        found = scene.incidents(priority="P1")
        if not found:
            return None
        newest = int(found[0]["number"].removeprefix("INC-"))
        page = scene.api("GET", f"/api/v1/incidents/{number or newest}")
        teller.news(page)
        kinds = [fact["kind"] for fact in page["timeline"]]
        complete = until != "resolved" or _failover_done(page)
        return (number or newest) if until in kinds and complete else None

    return scene.wait_for(look, f"the incident to be {until}", 90) or 0


def _failover_done(page: dict[str, Any]) -> bool:
    return any(run["plan"] == PLAN and run["state"] == "done" for run in page["failovers"])


def _report(scene: Scene, month: str) -> None:
    for language in ("zh", "en"):
        began = time.monotonic()
        made = scene.command("report", "build", CLIENT, month, "--language", language, "--format", "html,pdf")
        keep = Path.cwd() / "var" / "demo"
        keep.mkdir(parents=True, exist_ok=True)
        names = []
        for line in made.splitlines():
            path = Path(line)
            (keep / path.name).write_bytes(path.read_bytes())
            names.append(str((keep / path.name).relative_to(Path.cwd())))
        click.echo(f"Report ({language}, {time.monotonic() - began:.1f} s): {'  '.join(names)}")
