"""Sources beyond the usual ones, for stories about those who send."""

from __future__ import annotations

from pathlib import Path

from bridge.wiring import Bridge, read_config


def add_sources(bridge: Bridge, folder: Path, **sources: str) -> None:
    """Put a configuration in force that has these sources too: backup="{type: heartbeat, every: 1m}"."""
    file = folder / "bridge.yml"
    lines = "".join(f"  {name}: {settings}\n" for name, settings in sources.items())
    file.write_text(file.read_text("utf-8").replace("\nsources:\n", f"\nsources:\n{lines}"), "utf-8")
    bridge.use(read_config(file))


def remove_source(bridge: Bridge, folder: Path, name: str) -> None:
    """Put a configuration in force that has this source no more."""
    file = folder / "bridge.yml"
    lines = [line for line in file.read_text("utf-8").splitlines() if not line.startswith(f"  {name}:")]
    file.write_text("\n".join(lines), "utf-8")
    bridge.use(read_config(file))
