"""Reading YAML and JSON: Kubernetes' scalars, and everything that is refused."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schedlab.api import yaml_loader
from schedlab.api.yaml_loader import MAX_EXPANDED, MAX_SCALAR, MAX_TEXT, load_documents
from schedlab.errors import InputError

# What `kubectl label --local -f - -o json` (1.32) makes of `key: <text>`.
SCALARS = [
    ("y", True),
    ("n", False),
    ("yes", True),
    ("on", True),
    ("Off", False),
    ("TRUE", True),
    ("tRUE", "tRUE"),
    ("~", None),
    ("", None),
    ("null", None),
    ("12", 12),
    ("+12", 12),
    ("-0", 0),
    ("017", 15),
    ("0o17", 15),
    ("08", 8),
    ("0o8", "0o8"),
    ("0777_7", 4095),
    ("0x1F", 31),
    ("-0x1f", -31),
    ("0b11", 3),
    ("0b12", "0b12"),
    ("1_000", 1000),
    ("1__0", 10),
    ("_1", "_1"),
    ("1e3", 1000),
    ("1.0", 1),
    ("1.", 1),
    (".5", 0.5),
    ("+.5", 0.5),
    ("1e-7", 1e-7),
    ("1e21", 1e21),
    ("12345678901234567890123", 1.2345678901234568e22),
    ("1:30", "1:30"),
    ("2001-01-01", "2001-01-01"),
    ("2025-11-03T09:12:44Z", "2025-11-03T09:12:44Z"),
    ("1.5.2", "1.5.2"),
    ("500m", "500m"),
    ("2Gi", "2Gi"),
    ("-", "-"),
    ("'yes'", "yes"),
    ('"1"', "1"),
    ("!!str 5", "5"),
    ("!!int '5'", 5),
    ("!!float 1", 1),
    ("! 5", "5"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=[t or "empty" for t, _ in SCALARS])
def test_scalars_resolve_as_kubectl_resolves_them(text: str, value: Any) -> None:
    if text == "-":
        text = "'-'"
    [(document, _)] = load_documents(f"key: {text}\n")
    assert document == {"key": value}
    assert type(document["key"]) is type(value)


def test_keys_are_the_text_that_is_written() -> None:
    [(document, _)] = load_documents("on: 1\n0.50: 2\n0x10: 3\n'q': 4\ny: 5\n")
    assert document == {"on": 1, "0.50": 2, "0x10": 3, "q": 4, "y": 5}


def test_documents_have_their_lines() -> None:
    text = "# head\na: 1\n---\n---\n\n- 2\n...\n---\n# none\n---\nlast\n"
    assert load_documents(text) == [({"a": 1}, 2), ([2], 6), ("last", 11)]


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n---\n", "\ufeff"])
def test_nothing_is_no_document(text: str) -> None:
    assert load_documents(text) == []


def test_a_byte_order_mark_is_skipped() -> None:
    assert load_documents("\ufeffa: 1") == [({"a": 1}, 1)]
    assert load_documents('\ufeff{"a": 1}') == [({"a": 1}, 1)]


def test_aliases_and_merges() -> None:
    text = """\
base: &base {a: 1, b: 2}
one: {<<: *base, b: 3}
many:
  <<: [*base, {b: 9, c: 4}]
  d: &d x
again: *d
*d : key
"""
    [(document, _)] = load_documents(text)
    assert document["one"] == {"b": 3, "a": 1}
    assert document["many"] == {"d": "x", "a": 1, "b": 2, "c": 4}
    assert document["again"] == "x"
    assert document["x"] == "key"


def test_an_anchor_can_be_set_again() -> None:
    [(document, _)] = load_documents("a: &x 1\nb: &x [2]\nc: *x\n")
    assert document["c"] == [2]


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for i in range(1, levels):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]")
    return "\n".join(lines)


REFUSED = [
    pytest.param("a: 1\nb: 2\na: 3\n", "line 3: expected unique keys, found 'a' twice", id="twice"),
    pytest.param("a: {b: 1,\n  b: 2}", "line 2: expected unique keys", id="twice, inside"),
    pytest.param("x: &x a\n*x : 1\na: 2\n", "line 3: expected unique keys", id="twice, by alias"),
    pytest.param("\na: .nan", "line 2: expected a finite number, found .nan", id="NaN"),
    pytest.param("a: -.inf", "expected a finite number", id="infinity"),
    pytest.param("a: 1e999", "expected a finite number", id="overflow"),
    pytest.param(f"a: {'9' * 5000}", "expected a finite number", id="5,000 digits"),
    pytest.param("a: &x\n  b: *x", r"line 2: .*\*x inside itself", id="cyclic alias"),
    pytest.param("a: &x [[*x]]", r"\*x inside itself", id="cyclic alias in a list"),
    pytest.param("a: *y", r"line 1: .*\*y, which is not defined", id="unknown alias"),
    pytest.param("a: &x 1\n---\nb: *x", "line 3: .*not defined", id="alias across documents"),
    pytest.param(bomb(10), "line 7: .*alias bomb", id="alias bomb"),
    pytest.param("? [a]\n: b", "line 1: expected a string as key, found a list", id="list as key"),
    pytest.param("? {a: b}\n: c", "found a mapping as key", id="mapping as key"),
    pytest.param("a: &x 1\n*x : b\n", "line 2: expected a string as key", id="number as key"),
    pytest.param("a: {<<: 5}", "mappings to merge", id="merge of a number"),
    pytest.param("[" * 500 + "]" * 500, "at most 100 levels", id="deep"),
    pytest.param("- " * 500 + "a", "at most 100 levels", id="deep blocks"),
    pytest.param("[" * 200_000, "at most 100 levels", id="very deep JSON"),
    pytest.param("{a: " + "[" * 200_000, "at most 100 levels", id="very deep YAML"),
    pytest.param("a: !!python/object/apply:os.system [ls]", "without tags", id="python tag"),
    pytest.param("a: !!python/name:os.system", "without tags", id="python name"),
    pytest.param("a: !!binary aGk=", "without tags", id="binary"),
    pytest.param("a: !mine {b: 1}", "without tags", id="own tag"),
    pytest.param("a: !!int x", "a value of type int", id="tag that lies"),
    pytest.param("a: !!int yes", "a value of type int", id="bool tagged int"),
    pytest.param("a: [1, 2", "line 1: expected valid YAML|line 2: expected valid YAML", id="open"),
    pytest.param("a:\n\t- b", "line 2: expected valid YAML, found .*cannot start", id="tab"),
    pytest.param("a: b: c", "line 1: expected valid YAML", id="two colons"),
    pytest.param("a: 'x\n", "unexpected end of stream", id="open quote"),
    pytest.param("a: @x", "expected valid YAML", id="reserved"),
    pytest.param("a: \x00", "control characters", id="control character"),
    pytest.param("a: \udc80", "lone surrogate", id="surrogate"),
    pytest.param('a: "' + "x" * (MAX_SCALAR + 1) + '"', "characters in one value", id="huge"),
    pytest.param('{"a": 1,\n "a": 2}', "line 2: expected unique keys, found 'a' twice", id="JSON"),
    pytest.param('{"a": NaN}', "expected a finite number, found NaN", id="JSON NaN"),
    pytest.param('{"a": -Infinity}', "expected a finite number", id="JSON infinity"),
    pytest.param('{"a": 1e999}', "expected a finite number", id="JSON overflow"),
    pytest.param('{"a": "' + "x" * (MAX_SCALAR + 1) + '"}', "characters in one", id="JSON huge"),
    pytest.param('{"a": ' + "9" * 5000 + "}", "expected a finite number", id="JSON digits"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_documents(text, "some.yaml")
    assert caught.value.file == "some.yaml"
    assert len(str(caught.value)) < 400


def test_refuses_a_text_that_is_too_long_before_reading_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(yaml_loader, "MAX_TEXT", 10)
    monkeypatch.setattr(yaml_loader, "_Builder", None)
    with pytest.raises(InputError, match="expected at most 10 characters, found 11 characters"):
        load_documents("a: 23456789")
    assert MAX_TEXT == 2**28


def test_aliases_within_the_limit_are_shared() -> None:
    text = f"base: &b [{', '.join('x' * 100)}]\nuses: [{', '.join(['*b'] * 1000)}]\n"
    [(document, _)] = load_documents(text)
    assert len(document["uses"]) == 1000
    assert document["uses"][0] is document["base"]
    assert MAX_EXPANDED > 101 * 1000


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), plain, max_size=4))
def test_reads_back_json(value: dict[str, Any]) -> None:
    assert load_documents(json.dumps(value)) == [(value, 1)]


@given(st.dictionaries(st.text(), plain, max_size=4))
def test_reads_back_what_pyyaml_writes(value: dict[str, Any]) -> None:
    """The texts of numbers and words are quoted by PyYAML only where YAML 1.1 asks for it."""
    text = yaml.safe_dump(value, allow_unicode=True, default_style='"')
    [(document, line)] = load_documents("--- \n" + text)
    assert line >= 1
    assert document == value


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = load_documents(text)
    except InputError:
        return
    assert all(line >= 1 for _, line in found)
