"""Matchers mean what they mean in Alertmanager."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.matchers import BadMatcher, Matcher, parse

LABELS = {"service": "payments", "region": "eu\nwest", "机房": "华南 2", "empty": ""}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        pytest.param('service="payments"', True, id="equal"),
        pytest.param('service="payment"', False, id="a part is not equal"),
        pytest.param('service!="orders"', True, id="not equal"),
        pytest.param('service=~"pay.*"', True, id="pattern"),
        pytest.param('service=~"pay"', False, id="anchored at the end"),
        pytest.param('service=~"ments"', False, id="anchored at the start"),
        pytest.param('service=~"orders|pay"', False, id="anchors hold for every alternative"),
        pytest.param('service=~"pay|payments"', True, id="a later, longer alternative counts"),
        pytest.param('service!~"pay"', True, id="not matching is anchored as well"),
        pytest.param('service!~".*ment.*"', False, id="negated pattern"),
        pytest.param('region=~"eu.west"', True, id="a dot takes a newline: (?s)"),
        pytest.param('region="eu\\nwest"', True, id="escaped newline"),
        pytest.param('region=~"eu$.*"', False, id="the end is the end of the text, not of a line"),
        pytest.param('nothing=""', True, id="a missing label is empty"),
        pytest.param('empty=""', True, id="an empty label is missing"),
        pytest.param('nothing!=""', False, id="missing is not something"),
        pytest.param('nothing!="x"', True, id="missing differs from x"),
        pytest.param('nothing=~".*"', True, id="anything includes nothing"),
        pytest.param('nothing=~".+"', False, id="something does not"),
        pytest.param('nothing!~".+"', True, id="missing is not something, as a pattern"),
        pytest.param('"机房"="华南 2"', True, id="quoted UTF-8 name"),
        pytest.param('机房=~"华南.*"', True, id="bare UTF-8 name"),
        pytest.param("service=payments", True, id="bare value"),
        pytest.param("service =~ pay.*", True, id="spaces around the operator"),
        pytest.param('  service="payments"  ', True, id="spaces outside"),
        pytest.param('SERVICE="payments"', False, id="names have case"),
        pytest.param('service=~"(?i)PAY.*"', True, id="flags inside the pattern"),
    ],
)
def test_a_matcher_holds_as_in_alertmanager(text: str, *, holds: bool) -> None:
    assert parse(text).matches(LABELS) is holds


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        pytest.param(r'a="x\"y"', "a", 'x"y', id="quote"),
        pytest.param(r'a="x\\y"', "a", r"x\y", id="backslash"),
        pytest.param(r'a="x\ny"', "a", "x\ny", id="newline"),
        pytest.param(r'a=~"x\.y"', "a", r"x\.y", id="classic names: other escapes stay as written"),
        pytest.param(r'a=~"x\\.y"', "a", r"x\.y", id="and may be doubled"),
        pytest.param(r'a=~"\d+"', "a", r"\d+", id="digits"),
        pytest.param(r'"a b"="x"', "a b", "x", id="a name with a space"),
        pytest.param(r'"a\"b"="x"', 'a"b', "x", id="a name with a quote"),
        pytest.param('a=""', "a", "", id="empty value"),
        pytest.param("a=", "a", "", id="no value is the empty one"),
        pytest.param('a="x,y}{=~"', "a", "x,y}{=~", id="signs inside quotes are text"),
    ],
)
def test_escapes_are_read_as_alertmanager_reads_them(text: str, name: str, value: str) -> None:
    found = parse(text)
    assert (found.name, found.value) == (name, value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "is not a matcher", id="empty"),
        pytest.param("service", "is not a matcher", id="only a name"),
        pytest.param('service=="payments"', "is not a matcher", id="double equal"),
        pytest.param('service>"1"', "is not a matcher", id="no such operator"),
        pytest.param('service="payments', "is not a matcher", id="open quote"),
        pytest.param('service="a" , x="b"', "is not a matcher", id="two at once"),
        pytest.param('{service="a"}', "is not a matcher", id="braces"),
        pytest.param("service='a'", "is not a matcher", id="single quotes"),
        pytest.param('""="a"', "names no label", id="empty name"),
        pytest.param(r'"机房"="\q"', r"\q is no escape", id="UTF-8 names know three escapes"),
        pytest.param('a=~"("', "not a regular expression: missing )", id="open group"),
        pytest.param('a=~"*"', "not a regular expression", id="nothing to repeat"),
        pytest.param(r'a=~"(x)\1"', "not a regular expression: invalid escape sequence", id="backreference"),
        pytest.param('a!~"(?=x)"', "not a regular expression", id="lookahead"),
        pytest.param('a=~"((((x{1000}){1000}){1000}){1000})"', "not a regular expression", id="bomb"),
    ],
)
def test_what_is_no_matcher_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(BadMatcher) as refused:
        parse(text)
    assert reason in str(refused.value)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*a){20}"])
def test_patterns_that_explode_elsewhere_stay_linear(pattern: str) -> None:
    matcher = parse(f'a=~"{pattern}"')
    before = time.process_time()
    matcher.matches({"a": "a" * 100_000 + "!"})
    assert time.process_time() - before < 5  # a backtracking engine needs 2^100000 steps


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
values = st.text(st.characters(codec="utf-8"), max_size=20)


@given(names, st.sampled_from(["=", "!="]), values)
def test_what_a_matcher_prints_is_read_back_as_the_same_matcher(name: str, op: str, value: str) -> None:
    matcher = Matcher(name, op, value)
    assert parse(str(matcher)) == matcher


@given(values, values)
def test_equal_and_not_equal_are_each_others_opposite(value: str, wanted: str) -> None:
    labels = {"a": value}
    assert Matcher("a", "=", wanted).matches(labels) is not Matcher("a", "!=", wanted).matches(labels)


@given(values)
def test_an_escaped_value_as_pattern_matches_exactly_itself(value: str) -> None:
    import re2

    assert Matcher("a", "=~", re2.escape(value)).matches({"a": value})
    assert not Matcher("a", "=~", re2.escape(value)).matches({"a": value + "x"})
