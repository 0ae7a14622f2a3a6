"""Matchers mean what they mean in Alertmanager."""

import pickle
import time

import msgspec
import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from bridge.matchers import BadMatcher, Matcher, narrow, parse, selector, takes_all, takes_any

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


@pytest.mark.parametrize("text", ['a="\ud800"', 'a=~"x\udfff"', '"\udc00"="x"', "\ud800"])
def test_half_a_character_is_refused_in_words_that_can_be_printed(text: str) -> None:
    for read in (parse, selector):
        with pytest.raises(BadMatcher, match=r"half a character, U\+D[89A-F]") as refused:
            read(text)
        str(refused.value).encode()


def test_a_value_with_half_a_character_is_compared_without_failing() -> None:
    assert parse('a=~"x."').matches({"a": "x\ud800"})


def test_a_used_matcher_is_the_same_as_a_new_one() -> None:
    used, new = parse('a=~"(x|y)+"'), Matcher("a", "=~", "(x|y)+")
    assert used.matches({"a": "xyx"})
    assert (used, hash(used), repr(used)) == (new, hash(new), repr(new))
    assert msgspec.json.encode(used) == b'{"name":"a","op":"=~","value":"(x|y)+"}'
    again = pickle.loads(pickle.dumps(used))
    assert again == used
    assert again.matches({"a": "xyx"})


def test_more_patterns_than_any_cache_holds_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [parse(f'a=~"x{number}"') for number in range(5_000)]
    compiled: list[str] = []
    monkeypatch.setattr(re2, "compile", lambda pattern, _: compiled.append(pattern))
    assert sum(matcher.matches({"a": "x7"}) for matcher in made) == 1
    assert compiled == []


@pytest.mark.parametrize(
    ("text", "any_value", "every_alert", "names_something"),
    [
        pytest.param('a="x"', False, False, True, id="one value"),
        pytest.param('a=""', False, False, False, id="absent"),
        pytest.param('a!="x"', False, False, False, id="all but one value"),
        pytest.param('a!=""', True, False, False, id="present"),
        pytest.param('a!~""', True, False, False, id="present, as a pattern"),
        pytest.param('a=~".+"', True, False, False, id="something"),
        pytest.param('a=~".*"', True, True, False, id="anything"),
        pytest.param('a=~"(|.+)"', True, True, False, id="nothing or something"),
        pytest.param('a=~"(?i)^.*$"', True, True, False, id="anything, with ornaments"),
        pytest.param('a=~".{0,500}"', False, False, False, id="anything short"),
        pytest.param('a=~"[^z]*"', False, False, False, id="anything without a z: matches the absent"),
        pytest.param('a=~"[a-z]+"', False, False, False, id="any word"),
        pytest.param('a=~"[A-Z].*"', False, False, False, id="any name"),
        pytest.param('a=~"z.*"', False, False, True, id="a beginning"),
        pytest.param('a=~".*:9100"', False, False, True, id="an end"),
        pytest.param('a=~"x|y"', False, False, True, id="values"),
        pytest.param('a=~"|x"', False, False, False, id="absent or a value"),
        pytest.param('a!~"x.*"', False, False, False, id="all but a beginning"),
        pytest.param('a!~".*"', False, False, True, id="never"),
    ],
)
def test_how_much_a_matcher_takes(
    text: str, *, any_value: bool, every_alert: bool, names_something: bool
) -> None:
    matcher = parse(text)
    assert takes_any(matcher) is any_value
    assert takes_all(matcher) is every_alert
    assert narrow([matcher, parse('b!="x"')]) is names_something


def test_no_matchers_name_nothing() -> None:
    assert not narrow([])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param('client="acme"', [("client", "=", "acme")], id="one"),
        pytest.param(
            ' a = "x",\n b!~`y.*`, ', [("a", "=", "x"), ("b", "!~", "y.*")], id="two and a comma behind them"
        ),
        pytest.param("a='it\"s'", [("a", "=", 'it"s')], id="single quotes"),
        pytest.param(r'a="\"} or up{\""', [("a", "=", '"} or up{"')], id="escaped quotes end nothing"),
        pytest.param(r'a=~"x\\.y"', [("a", "=~", r"x\.y")], id="escaped backslash"),
        pytest.param(r"a=`\`", [("a", "=", "\\")], id="backquotes know no escapes"),
        pytest.param(r'a="\x41\102\u0043\U00000044\t"', [("a", "=", "ABCD\t")], id="numbers"),
        pytest.param('"host.name"="x"', [("host.name", "=", "x")], id="a quoted name"),
        pytest.param('a="# } , {"', [("a", "=", "# } , {")], id="signs inside quotes are text"),
        pytest.param("", [], id="nothing"),
        pytest.param(" , ", [], id="only a comma"),
    ],
)
def test_a_selector_is_read_as_promql_reads_it(text: str, wanted: list[tuple[str, str, str]]) -> None:
    assert [(found.name, found.op, found.value) for found in selector(text)] == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            'a="x"} or vector(1) #', "vector(1) #' is not a list of matchers such as", id="another query"
        ),
        pytest.param('a="x" b="y"', "is not a list of matchers", id="no comma"),
        pytest.param('a="x", ,', "two commas", id="two commas at the end"),
        pytest.param('a="x",,b="y"', "is not a list of matchers", id="two commas"),
        pytest.param('a="x"\n#', "is not a list of matchers", id="a comment"),
        pytest.param('a="x', "is not a list of matchers", id="an open quote"),
        pytest.param("a=x", "is not a list of matchers", id="no quotes"),
        pytest.param('a="x\ny"', "is not a list of matchers", id="a line's end inside quotes"),
        pytest.param('{a="x"}', "is not a list of matchers", id="braces"),
        pytest.param('"metric"', "is not a list of matchers", id="a metric's name"),
        pytest.param('机房="x"', "is not a list of matchers", id="a UTF-8 name without quotes"),
        pytest.param(r'a="\d"', "no escape of PromQL", id="no such escape"),
        pytest.param(r'a="\'"', "no escape of PromQL", id="the other quote escaped"),
        pytest.param(r'a="\ud800"', "no escape of PromQL", id="half a character"),
        pytest.param(r'a="\U00110000"', "no escape of PromQL", id="beyond the last character"),
        pytest.param('a=~"("', "not a regular expression: missing )", id="an open group"),
        pytest.param("{" * 10_000, "…", id="very long"),
    ],
)
def test_what_is_no_selector_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(BadMatcher) as refused:
        selector(text)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 300
