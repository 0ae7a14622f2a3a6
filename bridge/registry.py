"""The open families: a name in the configuration becomes settings and a callable.

Adding an entry is adding one file to the family's package. The file calls `register` once, under its own
file name; nothing else is edited. See docs/adr for why there are no third-party plug-ins.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

Call = TypeVar("Call", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry(Generic[Call]):
    """One member of a family: its name in bridge.yml, its settings type and what it does."""

    name: str
    settings: type[msgspec.Struct]
    call: Call
    about: str
    order: int = 0


class Family(Generic[Call]):
    """The members of one package, found by importing its modules."""

    def __init__(self, name: str, package: str) -> None:
        self.name = name
        self.package = package
        self._entries: dict[str, Entry[Call]] = {}
        self._loaded = False

    def register(self, name: str, settings: type[msgspec.Struct], order: int = 0) -> Callable[[Call], Call]:
        """Decorator: make the function below known as `type: name`."""

        def remember(call: Call) -> Call:
            if name in self._entries:
                raise ValueError(f"{self.name}: {name!r} is registered twice")
            about = (call.__doc__ or "").strip().splitlines()
            self._entries[name] = Entry(name, settings, call, about[0] if about else "", order)
            return call

        return remember

    def entries(self) -> Mapping[str, Entry[Call]]:
        """Every member by name, in order; the family's package is imported on first use."""
        if not self._loaded:
            package = importlib.import_module(self.package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self.package}.{module.name}")
            self._loaded = True
        return dict(sorted(self._entries.items(), key=lambda item: (item[1].order, item[0])))

    def settings(self) -> dict[str, type[msgspec.Struct]]:
        """Settings types by name, as the configuration reader wants them."""
        return {name: entry.settings for name, entry in self.entries().items()}


sources: Family[Callable[..., Any]] = Family("sources", "bridge.sources")
channels: Family[Callable[..., Any]] = Family("channels", "bridge.channels")
trackers: Family[Callable[..., Any]] = Family("trackers", "bridge.trackers")
actions: Family[Callable[..., Any]] = Family("actions", "bridge.actions")
sections: Family[Callable[..., Any]] = Family("sections", "health_report.sections")
