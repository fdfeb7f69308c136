from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.specs.yaml_reader import MAX_NODES, load_text
from oauth_taskflow.specs.yaml_scalars import plain_scalar

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


def rules(text: str) -> list[str]:
    return [problem.rule for problem in load_text(text, "x.yaml").problems]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("2026-01-01", "2026-01-01"),
        ("12:30", "12:30"),
        ("0123", "0123"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        ("1e400", "1e400"),
        ("-", "-"),
        (".", "."),
        (".e5", ".e5"),
        ("0", 0),
        ("-17", -17),
        ("+3", 3),
        ("1.50", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_an_unquoted_word_means_what_it_means_in_json_or_is_text(word: str, value: Any) -> None:
    got = plain_scalar(word)
    assert got == value
    assert type(got) is type(value)


def test_quoted_words_are_text() -> None:
    assert load_text("[\"true\", '1', !!str 5]", "x").data == ["true", "1", "5"]


def test_a_byte_order_mark_does_not_belong_to_the_text() -> None:
    assert load_text("\ufeffversion: 1", "x").data == {"version": 1}


def test_keys_of_a_merge_give_way_to_written_keys_and_to_earlier_merges() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {x: 3, <<: [*a, *b]}\n"
    assert load_text(text, "x").data["c"] == {"x": 3, "y": 1, "z": 2}


def test_a_quoted_merge_sign_is_an_ordinary_key() -> None:
    assert load_text('{"<<": 1}', "x").data == {"<<": 1}


def test_a_value_from_a_merge_is_found_where_it_is_written() -> None:
    document = load_text("a: &a\n  x: 1\nb:\n  <<: *a\nc:\n  <<: [{y: 1}, *a]\n", "x")
    assert document.find(("b", "x"))[:2] == (2, (2, 6))
    assert document.find(("c", "x"))[:2] == (2, (2, 6))


def test_a_problem_points_at_a_scalar_itself_and_at_the_key_of_a_mapping() -> None:
    document = load_text("a:\n  b:\n    c: 1\n    d: [x, {e: 5}]\n", "x")
    assert document.find(("a", "b", "c"))[:2] == (3, (3, 8))
    assert document.find(("a", "b"))[:2] == (2, (2, 3))
    assert document.find(("a", "b", "d", 1, "e"))[:2] == (5, (4, 16))
    assert document.find(("a", "b", "c")).key == (3, 5)


def test_a_missing_path_is_placed_at_its_last_existing_part() -> None:
    document = load_text("a:\n  b: [1]\n", "x")
    assert document.find(("a", "b", 0, "deeper"))[:2] == (3, (2, 7))
    assert document.find(("a", "b", 7))[:2] == (2, (2, 3))
    assert document.find(("a", "b", "key"))[:2] == (2, (2, 3))
    assert document.find(("a", "zzz", "y"))[:2] == (1, (1, 1))
    assert document.find(("a", "zzz")).key == (1, 1)


def test_columns_count_characters_not_bytes() -> None:
    (problem,) = load_text("{ä: 1, ä: 2}", "x").problems
    assert (problem.line, problem.col) == (1, 8)


def test_an_alias_bomb_is_refused_before_it_expands() -> None:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    (problem,) = load_text(f"a0: &a0 [x, x, x]\n{levels}", "x").problems
    assert problem.rule == "yaml-too-big"
    assert (
        problem.message
        == f"more than {MAX_NODES} values, aliases counted as often as they are used"
    )


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_endless_nesting_is_refused_without_a_crash(opening: str) -> None:
    assert rules(opening * 100_000)[-1:] in (["yaml-too-big"], ["yaml-syntax"])


@pytest.mark.parametrize("text", ["a\x00b", "\x07", "a: \ud800", "%YAML 9.9\n---\na: b", "a: &x"])
def test_unusual_text_gives_a_problem_or_data(text: str) -> None:
    document = load_text(text, "x")
    assert document.problems or document.data is not None


def test_an_unreadable_character_is_named() -> None:
    (problem,) = load_text("a\x00b", "x").problems
    assert problem.message.startswith("unreadable character")
    (problem,) = load_text("a: \ud800", "x").problems
    assert problem.message == "unreadable character at index 3"


def test_all_duplicate_keys_are_reported() -> None:
    assert rules("{a: 1, a: 2, b: {c: 1, c: 2}}") == ["duplicate-key", "duplicate-key"]


@given(st.text(max_size=200) | st.text(alphabet="{}[]:-&*!|>'\"#%@ \n\tab1<", max_size=60))
def test_any_text_gives_data_or_problems(text: str) -> None:
    document = load_text(text, "x")
    if document.data is None and not document.problems:
        assert yaml.safe_load(text) is None


@given(JSON)
def test_data_written_as_yaml_is_read_back_equal(data: Any) -> None:
    text = (
        yaml.safe_dump(data, default_style='"') if isinstance(data, str) else yaml.safe_dump(data)
    )
    document = load_text(text, "x")
    if not document.problems:
        assert document.data == plain(yaml.compose(text))


def plain(node: Any) -> Any:
    """The same data by way of PyYAML's node tree: an independent reading of structure and quoting."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    return plain_scalar(node.value) if node.style is None else node.value
