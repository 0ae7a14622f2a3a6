"""What a bench should reach, whether it did, and the one line of JSON at the end."""

from __future__ import annotations

import json
import math
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Goal:
    """A figure and its bound: at least `bound`, or at most when `most`."""

    name: str
    value: float
    bound: float
    most: bool = False

    @property
    def met(self) -> bool:
        return self.value <= self.bound if self.most else self.value >= self.bound

    def __str__(self) -> str:
        sign = "<=" if self.most else ">="
        return f"  {'met    ' if self.met else 'NOT MET'}  {self.name}: {self.value:.3g}  (goal {sign} {self.bound:g})"


@dataclass
class Results:
    """What the parts of one run gave. `broken`: parts that could not be measured, and why.

    `load`: how many processes wanted the processors before anything was measured.
    """

    goals: list[Goal] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def part(self, name: str, measure: Callable[[Results], None]) -> None:
        """Run one part; when it breaks the others are measured all the same."""
        print(f"\n== {name}", flush=True)
        before = len(self.goals)
        try:
            measure(self)
        except Exception as error:  # noqa: BLE001  # told, and in the exit code
            traceback.print_exc()
            self.broken[name] = f"{type(error).__name__}: {_brief(str(error))}"
        for goal in self.goals[before:]:
            print(goal, flush=True)

    def end(self, *, strict: bool) -> int:
        """Print the summary; the exit code: 1 when a part broke, with `strict` also when a goal is missed."""
        for name, why in self.broken.items():
            print(f"\nNOT MEASURED  {name}: {why}")
        if self.load > 0.5:
            print(
                f"\nOther programs were busy when this began (load {self.load:.1f}): the figures mean little."
            )
        missed = [goal for goal in self.goals if not goal.met]
        told = {
            "met": len(self.goals) - len(missed),
            "missed": [goal.name for goal in missed],
            "broken": self.broken,
            "load_before": self.load,
            "goals": {
                goal.name: {"value": goal.value, "bound": goal.bound, "met": goal.met} for goal in self.goals
            },
            "figures": self.figures,
        }
        print("\n" + json.dumps(_rounded(told), allow_nan=False), flush=True)
        return 1 if self.broken or (strict and missed) else 0


def _brief(said: str) -> str:
    """The first and the last line: what failed, and what the failing program said last."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or [""]
    return lines[0][:300] if len(lines) == 1 else f"{lines[0][:300]} … {lines[-1][:300]}"


def _rounded(value: Any) -> Any:
    """Three figures; None for what is no number, which JSON does not know."""
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.3g}") if math.isfinite(value) else None
    return value
