"""The open families: found by importing their package, one entry a file."""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bridge import registry
from bridge.registry import Family

FAMILIES = [registry.sources, registry.channels, registry.trackers, registry.actions]


class Settings(msgspec.Struct):
    """Nothing."""


@pytest.fixture
def family() -> Family[Any]:
    found: Family[Any] = Family("colours", "bridge.actions")
    found._loaded = True  # no package of its own: entries are registered by the test
    return found


def test_a_registered_function_is_found_by_name_with_settings_and_first_line(family: Family[Any]) -> None:
    @family.register("red", Settings)
    def paint() -> str:
        """Paints it red.

        More that nobody needs here.
        """
        return "red"

    entry = family.entries()["red"]
    assert (entry.call, entry.settings, entry.about) == (paint, Settings, "Paints it red.")
    assert family.settings() == {"red": Settings}


def test_the_decorated_function_stays_what_it_was(family: Family[Any]) -> None:
    assert family.register("red", Settings)(len) is len


def test_a_name_is_registered_once(family: Family[Any]) -> None:
    family.register("red", Settings)(len)
    with pytest.raises(ValueError, match="colours: 'red' is registered twice"):
        family.register("red", Settings)(len)


def test_entries_come_in_their_order_then_by_name(family: Family[Any]) -> None:
    for name, order in (("b", 1), ("c", 0), ("a", 1)):
        family.register(name, Settings, order)(len)
    assert list(family.entries()) == ["c", "a", "b"]


def test_a_new_file_in_the_package_is_found_without_editing_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "made_up_family"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "blue.py").write_text(
        "from bridge import registry\nregistry.made_up.register('blue', dict)(print)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    made_up: Family[Any] = Family("made_up", "made_up_family")
    monkeypatch.setattr(registry, "made_up", made_up, raising=False)
    assert list(made_up.entries()) == ["blue"]
    assert list(made_up.entries()) == ["blue"], "asked again, nothing is registered twice"
    for name in ("made_up_family", "made_up_family.blue"):
        sys.modules.pop(name, None)


# What members of a family share lies beside them and registers nothing.
SHARED = {"sources": {"lenient", "webhook"}}


@pytest.mark.parametrize("found", FAMILIES, ids=lambda family: family.name)
def test_every_file_of_a_family_registers_one_entry_under_its_own_name(found: Family[Any]) -> None:
    files = {module.name for module in pkgutil.iter_modules(import_module(found.package).__path__)}
    assert set(found.entries()) == files - SHARED.get(found.name, set())


@pytest.mark.parametrize("found", FAMILIES, ids=lambda family: family.name)
def test_every_entry_has_strict_settings_and_says_what_it_does(found: Family[Any]) -> None:
    for entry in found.entries().values():
        assert entry.settings.__struct_config__.forbid_unknown_fields, entry.name
        assert entry.settings.__struct_config__.frozen, entry.name
        assert entry.about.endswith("."), entry.name
