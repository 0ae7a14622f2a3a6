"""The report's PromQL: read from queries.yml, overridden per client, filled in for one period."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from health_report.facts import Question
from health_report.month import Period

FILE = Path(__file__).with_name("queries.yml")
_NAMES = re.compile(r"\$(selector|hosts|window|step)\b")
_TIDY = re.compile(r"\{\s*,")


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One query of a section, with its placeholders."""

    promql: str
    kind: Literal["range", "instant"] = "range"
    compare: bool = False


Book = dict[str, dict[str, Query]]


def read(file: Path = FILE) -> Book:
    """All queries by section and name. Raises msgspec.ValidationError for a mistake in the file."""
    return msgspec.convert(yaml.safe_load(file.read_text("utf-8")), Book)


def override(book: Book, changes: Mapping[str, Mapping[str, str]]) -> Book:
    """The queries with a client's own PromQL. Raises ValueError for a query that does not exist."""
    result = {section: dict(queries) for section, queries in book.items()}
    for section, queries in changes.items():
        for name, promql in queries.items():
            known = result.get(section, {}).get(name)
            if known is None:
                raise ValueError(f"there is no query {section}.{name} to replace")
            result[section][name] = msgspec.structs.replace(known, promql=promql)
    return result


def selector_of(client: str) -> str:
    """The selector of a client that names none; never empty, or it would select everybody's series."""
    text = client.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'client="{text}"'


def questions(
    book: Book, now: Period, before: Period, selector: str, hosts: str, step: float
) -> tuple[Question, ...]:
    """Every query ready to be asked, for the period and where compared for the month before."""
    asked: list[Question] = []
    for section, queries in book.items():
        for name, query in queries.items():
            for period in (now, before) if query.compare else (now,):
                text = _filled(query.promql, period, selector, hosts, step)
                asked.append(
                    Question(
                        section=section,
                        name=name,
                        promql=text,
                        kind=query.kind,
                        start=period.start,
                        end=period.until,
                        step=step,
                        before=period is before,
                    )
                )
    return tuple(asked)


def _filled(promql: str, period: Period, selector: str, hosts: str, step: float) -> str:
    values = {
        "selector": selector.strip().strip(","),
        "hosts": hosts.strip().strip(","),
        "window": f"{max(1, int(period.seconds))}s",
        "step": f"{int(step)}s",
    }
    # One pass: a placeholder's name inside a client's selector stays what it is.
    return _TIDY.sub("{", _NAMES.sub(lambda found: values[found[1]], promql))
