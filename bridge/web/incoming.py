"""Texts and numbers of requests, as both databases hold them: the one place they come through.

NUL and half surrogate pairs arrive in queries, forms, JSON and addresses; PostgreSQL refuses them, and a
page cannot be encoded with them. Numbers in addresses end where the databases' do.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Request
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from werkzeug.exceptions import BadRequest
from werkzeug.routing import IntegerConverter, Map, UnicodeConverter
from werkzeug.utils import cached_property

from bridge.text import storable

# A signed number of 64 bits, as keys are in both databases; it has 19 digits.
LARGEST_NUMBER = 2**63 - 1


class Incoming(Request):
    """A request whose query, form and JSON hold only what can be stored."""

    @cached_property
    def args(self) -> MultiDict[str, str]:
        """The query."""
        return _storable_fields(super().args)

    def _load_form_data(self) -> None:
        loaded = "form" in self.__dict__
        super()._load_form_data()
        if not loaded:
            self.__dict__["form"] = _storable_fields(self.form)

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: FBT001, FBT002  # Flask's signature
        """The JSON; what is nested too deeply to be read is no JSON."""
        try:
            return _storable_json(super().get_json(force=force, silent=silent, cache=cache))
        except RecursionError:
            if silent:
                return None
            raise BadRequest("the JSON is nested too deeply") from None


class _Text(UnicodeConverter):
    """`<name>`: a part of an address."""

    def to_python(self, value: str) -> str:
        return storable(value)


class _Number(IntegerConverter):
    """`<int:number>`: what no database can hold is found nowhere, 404."""

    regex = r"[0-9]{1,19}"

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, max=LARGEST_NUMBER)


def install(app: Flask) -> None:
    """Let every request come through here; before any route is added."""
    app.request_class = Incoming
    app.url_map.converters |= {"default": _Text, "string": _Text, "int": _Number}


def _storable_fields(fields: MultiDict[str, str]) -> ImmutableMultiDict[str, str]:
    return ImmutableMultiDict([(storable(name), storable(text)) for name, text in fields.items(multi=True)])


def _storable_json(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(name): _storable_json(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_storable_json(part) for part in value]
    return value
