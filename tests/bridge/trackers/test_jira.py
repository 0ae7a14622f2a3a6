from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bridge.config.values import Secret
from bridge.delivery import LONGEST_WAIT, DeliveryError
from bridge.trackers import jira
from tests.bridge.trackers.contract import Stage, ticket
from tests.servers.http import Exchange, Server, hangs, says
from tests.servers.jira import PROJECT, TOKEN, Jira
from tests.servers.loopback import outbound


def settings(url: str, **other: Any) -> jira.Settings:
    return jira.Settings(url=url, project=PROJECT, token=Secret(TOKEN), **other)


@contextmanager
def stage() -> Iterator[Stage]:
    tracker = Jira()
    with Server(tracker) as server, Server() as other:
        redirect = says(302, b"", {"Location": other.url})
        yield Stage(
            settings(server.url),
            lambda: [
                "\n".join(
                    [fields["summary"], fields["description"], *fields["labels"], *tracker.comments[key]]
                )
                for key, fields in tracker.issues.items()
            ],
            {
                "loses": lambda: setattr(tracker, "lose", 1),
                "unauthorised": lambda: server.behave(says(401, {"errorMessages": ["canary-jira-token"]})),
                "broken": lambda: server.behave(says(502, b"<html>", {"Retry-After": "7"})),
                "limited": lambda: server.behave(says(429, b"", {"Retry-After": "86400"})),
                "hangs": lambda: server.behave(hangs()),
                "redirects": lambda: server.behave(redirect),
                "nonsense": lambda: server.behave(says(200, b"<html>sign in</html>")),
            },
        )


def made(tracker: Jira, wanted: Any, **other: Any) -> dict[str, Any]:
    with Server(tracker) as server:
        key = jira.mirror(settings(server.url, **other), wanted, "", outbound()).key
    return tracker.issues[key]


def test_what_an_issue_says() -> None:
    fields = made(Jira(), ticket(), priorities={"P1": "Highest"})
    assert fields["project"] == {"key": "OPS"}
    assert fields["issuetype"] == {"name": "Incident"}
    assert fields["summary"] == "[P1] 支付网关超时"
    assert fields["labels"] == ["opsbridge-INC-42", "opsbridge"]
    assert fields["priority"] == {"name": "Highest"}


def test_the_address_is_for_people() -> None:
    with Server(Jira()) as server:
        found = jira.mirror(settings(server.url + "/"), ticket(), "", outbound())
    assert (found.key, found.url) == ("OPS-1", f"{server.url}/browse/OPS-1")


def test_jira_cloud_is_asked_in_its_own_way() -> None:
    tracker = Jira(cloud_user="ops@acme.test")
    made(tracker, ticket(), user="ops@acme.test")
    assert tracker.searches == ['project = "OPS" AND labels = "opsbridge-INC-42"']


def test_each_incident_has_its_own_issue_and_its_number_no_namesake() -> None:
    tracker = Jira()
    with Server(tracker) as server:
        keys = [
            jira.mirror(settings(server.url), ticket(incident=f"INC-{number}"), "", outbound()).key
            for number in (4, 42, 4)
        ]
    assert keys == ["OPS-1", "OPS-2", "OPS-1"]


def test_a_lost_answer_is_found_by_the_label_and_then_commented() -> None:
    tracker = Jira(lose=1)
    with Server(tracker) as server:
        with pytest.raises(DeliveryError) as caught:
            jira.mirror(settings(server.url), ticket(), "", outbound())
        assert (caught.value.retry, caught.value.unknown) == (True, True)
        assert jira.mirror(settings(server.url), ticket(), "", outbound()).key == "OPS-1"
    assert list(tracker.issues) == ["OPS-1"]
    assert len(tracker.comments["OPS-1"]) == 1


def test_a_change_is_a_comment_and_nothing_to_say_is_none() -> None:
    tracker = Jira()
    with Server(tracker) as server:
        jira.mirror(settings(server.url), ticket(), "", outbound())
        jira.mirror(settings(server.url), ticket(comments=("one", "two")), "OPS-1", outbound())
        jira.mirror(settings(server.url), ticket(comments=()), "OPS-1", outbound())
    assert tracker.comments["OPS-1"] == ["one\ntwo"]


def test_a_long_comment_is_cut_and_its_long_echo_is_no_failure() -> None:
    tracker = Jira()
    with Server(tracker) as server:
        jira.mirror(settings(server.url), ticket(), "", outbound())
        jira.mirror(settings(server.url), ticket(comments=("错" * 40_000,)), "OPS-1", outbound())
    assert tracker.comments["OPS-1"] == ["错" * 32_000]


def test_when_asked_to_wait_the_time_is_kept() -> None:
    with Server(Jira(busy=1)) as server:
        with pytest.raises(DeliveryError) as caught:
            jira.mirror(settings(server.url), ticket(), "", outbound())
        assert (caught.value.retry, caught.value.after) == (True, 7.0)
        assert caught.value.after < LONGEST_WAIT
        assert jira.mirror(settings(server.url), ticket(), "", outbound()).key


@pytest.mark.parametrize(
    "wrong", [{"project": "NOPE"}, {"issue_type": ""}, {"priorities": {"P1": "Urgent"}}], ids=str
)
def test_what_the_project_does_not_know_is_refused_for_good(wrong: dict[str, Any]) -> None:
    tracker = Jira()
    with Server(tracker) as server:
        given = jira.Settings(**{"url": server.url, "project": PROJECT, "token": Secret(TOKEN), **wrong})
        with pytest.raises(DeliveryError) as caught:
            jira.mirror(given, ticket(), "", outbound())
    assert (caught.value.retry, caught.value.unknown) == (False, False)
    assert not tracker.issues


@pytest.mark.parametrize("project", ['OPS" OR project = "SECRET', 'a"b\\', "\\", '\\" OR 1=1 --'])
def test_a_project_cannot_end_its_quotes(project: str) -> None:
    tracker = Jira()
    with Server(tracker) as server:
        given = jira.Settings(url=server.url, project=project, token=Secret(TOKEN))
        with pytest.raises(DeliveryError, match="answered 400"):
            jira.mirror(given, ticket(), "", outbound())
    (asked,) = tracker.searches
    quoted = re.fullmatch(r'project = "((?:[^"\\]|\\.)*)" AND labels = "opsbridge-INC-42"', asked)
    assert quoted
    assert re.sub(r"\\(.)", r"\1", quoted[1]) == project


@pytest.mark.parametrize(
    "text",
    [
        "{html}<script>{html}",
        "\\{html}x\\{html}",
        "\\\\{code}x",
        "[~admin] [click|http://evil.test]",
        "!http://evil.test/p.png!",
        "||a||b|| *b* _i_ ^up^ ~low~ #1",
    ],
)
def test_markup_of_labels_is_text(text: str) -> None:
    fields = made(Jira(), ticket(body=text))
    # Read as Jira does: a pair of backslashes is a line break, one backslash escapes what follows.
    shown = re.sub(
        r"\\\\|\\(.)", lambda match: (match[1] and f"\ue000{match[1]}") or "\n", fields["description"]
    )
    assert not re.search(r"(?<!\ue000)[{}\[\]!*_~|^#](?!92;)", shown.replace("&#92;", ""))
    assert "\n" not in shown
    assert shown.replace("\ue000", "").replace("&#92;", "\\") == text


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        None,
        {"issues": None},
        {"issues": {}},
        {"issues": "x"},
        {"issues": [5]},
        {"issues": [{"key": 5}]},
    ],
    ids=str,
)
def test_a_search_that_was_not_answered_creates_nothing(answer: Any) -> None:
    with Server(says(200, answer)) as server:
        with pytest.raises(DeliveryError) as caught:
            jira.mirror(settings(server.url), ticket(), "", outbound())
        assert caught.value.retry
    assert [request.method for request in server.requests] == ["GET"]


@pytest.mark.parametrize("answer", [[], {}, {"key": None}, {"key": 5}, {"key": ""}], ids=str)
def test_an_issue_without_a_key_is_looked_for_again(answer: Any) -> None:
    def behave(exchange: Exchange) -> None:
        says(200, {"issues": []} if exchange.request.method == "GET" else answer)(exchange)

    with Server(behave) as server, pytest.raises(DeliveryError) as caught:
        jira.mirror(settings(server.url), ticket(), "", outbound())
    assert (caught.value.retry, caught.value.unknown) == (True, True)


def test_a_key_is_one_step_of_a_path() -> None:
    with Server(says(201, {})) as server:
        found = jira.mirror(settings(server.url), ticket(), "../../admin?x=", outbound())
    assert server.requests[0].path == "/rest/api/2/issue/..%2F..%2Fadmin%3Fx%3D/comment"
    assert found.url.endswith("/browse/..%2F..%2Fadmin%3Fx%3D")
