"""Method confusion (H-15): what acts is only ever done by its own method, whatever else a request says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.routing import Rule

from bridge.store import people
from bridge.store.schema import metadata
from tests.bridge.web import visitors
from tests.hostile.bodies import one, webhook
from tests.hostile.routes import ROUTES
from tests.hostile.site import Site

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW", "get", "POSTX")
OVERRIDES = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method")
ODD = [
    "%00",
    "a%00b",
    "%ff",
    "%ed%a0%80",
    "%E2%80%AE",
    "'",
    "%22%3C",
    "%2e%2e",
    "x" * 5_000,
    "%0d%0aX:y",
    "*",
]
ODD_NUMBERS = [0, 2**31, 2**63 - 1, 2**63, 10**30, 10**400]
VALUES = {
    "number": 1,
    "verb": "acknowledge",
    "plan": "payments-eu",
    "source": "main",
    "name": "wang",
    "token": "x",
    "link": "x",
    "filename": "console.css",
}


@pytest.fixture(scope="module")
def acting(light_site: Site) -> dict[str, set[str]]:
    """Every address that something can be posted or put to, with the methods it knows."""
    adapter = light_site.app.url_map.bind("bridge.test")
    found: dict[str, set[str]] = {}
    for rule in light_site.app.url_map.iter_rules():
        if (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}:
            address = adapter.build(rule.endpoint, {n: VALUES.get(n, "x") for n in rule.arguments}, "POST")
            address = address if address.startswith("/") else f"/{address.split('/', 3)[3]}"
            found[address] = set(adapter.allowed_methods(address)) | {"OPTIONS"}
    return found


@pytest.fixture(scope="module")
def writers(light_site: Site) -> list[tuple[FlaskClient, dict[str, str]]]:
    """A machine that may do everything, and somebody on duty who is signed in."""
    route = ROUTES["alertmanager"]
    light_site.send("POST", route.path, webhook(one("to be acted on")), route.headers)
    secret = light_site.bridge.database.run(
        lambda c: people.new_token(c, "writer", ["api:write", "ingest:main"], light_site.bridge.now())
    )
    person = visitors.Site(light_site.bridge, light_site.app).person()
    return [(light_site.client(), {"Authorization": f"Bearer {secret}"}), (person.client, {})]


def counted(site: Site) -> dict[str, Any]:
    """How much of everything there is, and every incident as it stands."""
    tables = {name: table for name, table in metadata.tables.items() if name != "sessions"}

    def work(connection: Any) -> dict[str, Any]:
        found: dict[str, Any] = {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in tables.items()
        }
        rows = connection.execute(select(tables["incidents"]).order_by(tables["incidents"].c.number))
        return found | {"every incident": [tuple(row) for row in rows]}

    found: dict[str, Any] = site.read(work)
    return found


def test_there_are_addresses_that_act(acting: dict[str, set[str]]) -> None:
    assert len(acting) > 12
    assert {"/api/v1/incidents/1/acknowledge", "/ingest/alertmanager/main"} <= acting.keys()


@pytest.mark.parametrize("overrides", [{}, dict.fromkeys(OVERRIDES, "POST")], ids=["plain", "overridden"])
def test_nothing_is_done_by_a_method_that_is_not_its_own(
    light_site: Site,
    acting: dict[str, set[str]],
    writers: list[tuple[FlaskClient, dict[str, str]]],
    overrides: dict[str, str],
) -> None:
    before = counted(light_site)
    for address, allowed in acting.items():
        for method in METHODS:
            if method.upper() in allowed:
                continue
            for client, headers in writers:
                asked = {**headers, **overrides}
                answer = client.open(address, method=method, headers=asked, data=webhook(one("by the way")))
                assert answer.status_code == 405, (method, address)
            posted = client.open(f"{address}?_method=POST", method=method, data={"_method": "POST"})
            assert posted.status_code == 405, (method, address)
    assert counted(light_site) == before


@pytest.mark.parametrize("override", OVERRIDES)
def test_a_post_stays_a_post_whatever_its_headers_say(light_site: Site, override: str) -> None:
    route = ROUTES["alertmanager"]
    headers = {**route.headers, override: "GET"}
    left = light_site.send("POST", route.path, webhook(one(f"posted with {override}")), headers)
    assert (left.answer.status_code, len(left.stored)) == (200, 1)


def test_options_tells_the_methods_and_does_nothing(light_site: Site, acting: dict[str, set[str]]) -> None:
    before = counted(light_site)
    for address in acting:
        answer = light_site.client().open(address, method="OPTIONS")
        assert answer.status_code == 200, address
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert counted(light_site) == before


def odd_addresses(rule: Rule) -> Iterator[tuple[str, str | int]]:
    """The addresses of a rule with something odd in each of its places in turn."""
    names = [name for name in rule.arguments if name != "filename"]
    for name in names:
        for odd in ODD_NUMBERS if f"<int:{name}>" in rule.rule else ODD:
            address = rule.rule
            for other in names:
                value = str(odd if other == name else VALUES.get(other, "x"))
                address = address.replace(f"<int:{other}>", value).replace(f"<{other}>", value)
            yield address, odd


def test_no_part_of_an_address_breaks_the_site(plain_site: Site) -> None:
    """Every rule with a place in it, with odd texts or numbers there, by its own methods."""
    person = visitors.Site(plain_site.bridge, plain_site.app).person("zhao", "admin").client
    robot = plain_site.client()
    broken: Counter[str] = Counter()
    for rule in plain_site.app.url_map.iter_rules():
        machine = rule.rule.startswith(("/api/", "/ingest", "/heartbeat"))
        client, headers = (robot, plain_site.robot) if machine else (person, {})
        for address, odd in odd_addresses(rule):
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                status = client.open(address, method=method, headers=headers).status_code
                if status >= 500 and status != 503:
                    broken[f"{method} {rule.rule} with {str(odd)[:20]}"] += 1
    assert not broken, "\n".join(sorted(broken))


@pytest.mark.parametrize(
    "name", ["\0", "a\0b", "\ud800", "\u202e", "x" * 100_000, "'; DROP TABLE users; --", ""]
)
def test_no_name_breaks_the_sign_in(plain_site: Site, name: str) -> None:
    stranger = visitors.Site(plain_site.bridge, plain_site.app).visitor()
    given = name.encode("utf-8", "replace").decode()
    answer = stranger.send("/sign-in", name=given, password=given)
    assert answer.status_code in (200, 400, 401, 403, 413, 429)
