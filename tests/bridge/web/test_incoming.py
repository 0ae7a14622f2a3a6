"""Texts and numbers of requests come in as the databases hold them. Both databases, where one is asked."""

from __future__ import annotations

import json

import pytest
from flask import Flask, request

from bridge.web import incoming

ODD = "a\0b\ud800"
STORED = "a\u2400b\ufffd"


@pytest.fixture
def echo():
    """An application that gives back what it was told."""
    app = Flask("echo", static_folder=None)
    incoming.install(app)

    @app.post("/of/<name>")
    def named(name: str):
        return {
            "name": name,
            "args": request.args.to_dict(flat=False),
            "form": request.form.to_dict(flat=False),
            "json": request.get_json(silent=True),
        }

    @app.get("/number/<int:number>")
    def numbered(number: int):
        return {"number": number}

    @app.post("/strict")
    def strict():
        return {"json": request.get_json(force=True)}

    return app.test_client()


def test_each_kind_of_text_comes_in_storable(echo):
    said = echo.post("/of/a%00b?q=a%00b&q=c&a%00=x", data={"t\0": ["a\0b", "c"]}).json
    assert said["name"] == "a\u2400b"
    assert said["args"] == {"q": ["a\u2400b", "c"], "a\u2400": ["x"]}
    assert said["form"] == {"t\u2400": ["a\u2400b", "c"]}


def test_json_comes_in_storable_however_deep(echo):
    told = {ODD: [ODD, {"x": ODD}, 7, None, True, 1.5]}
    said = echo.post("/of/x", data=json.dumps(told), content_type="application/json").json
    assert said["json"] == {STORED: [STORED, {"x": STORED}, 7, None, True, 1.5]}


@pytest.mark.parametrize("body", [b"[" * 100_000, b"{", b"9" * 5_000, b"\xff"])
def test_json_that_cannot_be_read_is_none_or_400(echo, body):
    assert echo.post("/of/x", data=body, content_type="application/json").json["json"] is None
    assert echo.post("/strict", data=body).status_code == 400


@pytest.mark.parametrize("number", [0, 7, 2**63 - 1])
def test_a_number_a_database_holds_is_taken(echo, number):
    assert echo.get(f"/number/{number}").json == {"number": number}


@pytest.mark.parametrize("number", [2**63, 10**19 - 1, 10**30, "9" * 5_000, "-1", "+1", "\u0661", "1_0"])
def test_a_number_no_database_holds_is_found_nowhere(echo, number):
    assert echo.get(f"/number/{number}").status_code == 404


def test_searches_and_addresses_with_nul_are_answered(client, token):
    reader = token("api:read")
    for path in ("incidents?q=a%00b", "incidents?client=%00", "alerts?state=%00", "maintenance?client=a%00"):
        assert client.get(f"/api/v1/{path}", headers=reader).status_code == 200
    for path in ("deliveries/a%00b", f"incidents/{2**63}", f"incidents/{2**63 - 1}"):
        assert client.get(f"/api/v1/{path}", headers=reader).status_code == 404


def test_a_name_with_nul_is_nobodys(site):
    assert site.visitor().send("/sign-in", name="a\0b", password="a\0b").status_code == 403
