"""Bodies: JSON or a clear error, taken apart no further than asked."""

from __future__ import annotations

import gzip
import json
from functools import partial
from typing import Any

import jmespath
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.decoders.json import Body, dig, find_in, plain_keys
from oauth_taskflow.errors import InvalidRecord, RecordsNotFound
from tests.api.pull.offline import answer

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from("abc") | st.text(), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(
    values,
    st.sampled_from(["a", "a.b", 'a."b"', "a.b.c", '"a"', "a[0]", "a || b", "keys(@) | [0]"]),
)
def test_the_fast_lane_finds_what_jmespath_finds(value: Any, path: str) -> None:
    if path.startswith("keys") and not isinstance(value, dict):
        return
    text = json.dumps(value, indent=1).encode()
    assert Body(text).find(path) == jmespath.search(path, value)
    assert find_in(msgspec.Raw(text), path) == jmespath.search(path, value)


@given(st.integers())
def test_integers_of_any_size_are_exact(number: int) -> None:
    assert Body(b'{"a": %d}' % number).find("a") == number


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("a", ("a",)),
        ("data.items", ("data", "items")),
        ('data."@odata.nextLink"', ("data", "@odata.nextLink")),
        ('"a.b".c', ("a.b", "c")),
        ("a[0]", None),
        ("a[]", None),
        ("a | b", None),
        ("@", None),
        ("'a'", None),
        ("`1`", None),
        ('"a\\"b"', None),
    ],
)
def test_paths_of_plain_keys_are_recognised(path: str, keys: tuple[str, ...] | None) -> None:
    assert plain_keys(path) == keys


def test_dig_distinguishes_null_and_absent() -> None:
    null = dig(b'{"a": null}', ("a",))
    assert null is not None
    assert bytes(null) == b"null"
    assert dig(b'{"b": 1}', ("a",)) is None
    assert dig(b'{"a": [1]}', ("a", "b")) is None


def test_a_body_on_several_lines_becomes_one_with_its_numbers_untouched() -> None:
    assert Body(b'{\r\n  "a": 1.10,\n  "b": "x y" }\n').json == b'{"a":1.10,"b":"x y"}'


@pytest.mark.parametrize(
    ("content", "charset"),
    [
        ('{"a":"ä"}'.encode(), "utf-8"),
        (b'\xef\xbb\xbf{"a":"\xc3\xa4"}', "UTF-8"),
        ('{"a":"ä"}'.encode("latin-1"), "iso-8859-1"),
        ('{"a":"ä"}'.encode("utf-16"), "utf-16"),
        (gzip.compress('{"a":"ä"}'.encode(), mtime=0), "utf-8"),
    ],
)
def test_charsets_marks_and_undeclared_gzip_are_undone(content: bytes, charset: str) -> None:
    assert Body(content, charset=charset).json == '{"a":"ä"}'.encode()


def test_the_charset_comes_from_the_content_type() -> None:
    response = answer(
        '{"a":"ä"}'.encode("latin-1"), headers={"Content-Type": 'text/json; charset="latin-1"'}
    )
    assert Body.from_response(response).find("a") == "ä"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b"<html>no</html>",
            r"\(it is an HTML page\): <html>no</html> at",
        ),
        (b'{"a": NaN}', "invalid character"),
        (b'{"a": Infinity}', "invalid character"),
        (b'{"a": 1', "its end is missing"),
        (b'{"a": 1}{"b": 2}', "trailing characters"),
        (b'{\n"a": }', "malformed"),
        (b'{"a":"\xe4"}', "byte 6 is not utf-8; the API mislabels its charset"),
        (b"\x1f\x8bnonsense", "gzip is broken"),
    ],
)
def test_invalid_json_is_one_clear_error(content: bytes, reason: str) -> None:
    with pytest.raises(InvalidRecord, match=reason):
        Body(content, where="at GET https://api.example.com/x")


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (b'{"a": 1}\n\n{"b": "2}"}\r\n', "text/plain", "JSON Lines"),
        (b'[1]\n[2]\n{"a', "application/x-ndjson", "JSON Lines"),
        (b"id,name\n1,a\n", "text/csv; charset=utf-8", "text/csv"),
    ],
)
def test_other_formats_are_named_and_not_retried(content: bytes, kind: str, reason: str) -> None:
    with pytest.raises(InvalidRecord, match=rf"\(it is {reason}\).* @oauth_task") as caught:
        Body.from_response(answer(content, headers={"Content-Type": kind}))
    assert not caught.value.retryable


@pytest.mark.parametrize("content", [b'{"a": 1}\n{"b"', b"1\n2", b"id,name\n1,a\n"])
def test_what_may_be_json_next_time_is_retried(content: bytes) -> None:
    with pytest.raises(InvalidRecord) as caught:
        Body(content)
    assert caught.value.retryable


def test_an_unknown_charset_is_named() -> None:
    with pytest.raises(InvalidRecord, match="unknown charset 'klingon'"):
        Body(b"{}", charset="klingon")


def test_the_start_of_a_wrong_body_is_shown_redacted_and_cut() -> None:
    content = b"<p>access_token=abcdefgh " + b"x" * 500
    with pytest.raises(InvalidRecord) as caught:
        Body(content)
    assert "abcdefgh" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_number_beyond_double_keeps_its_digits() -> None:
    body = Body(b'{"a": 1e999}')
    assert (body.json, str(body.decode()["a"])) == (b'{"a": 1e999}', "1e999")
    assert body.has_exact_numbers


def test_an_empty_body_is_null() -> None:
    body = Body(b" \n")
    assert (body.empty, body.decode(), body.find("a"), body.find("a[0]")) == (
        True,
        None,
        None,
        None,
    )


def test_an_invalid_jmespath_is_named() -> None:
    with pytest.raises(RecordsNotFound, match=r"'a\[' is not a JMESPath expression"):
        Body(b"{}").find("a[")


def test_a_jmespath_function_on_the_wrong_type_is_named() -> None:
    with pytest.raises(InvalidRecord, match=r"JMESPath 'length\(a\)' does not fit the body"):
        Body(b'{"a": 1}').find("length(a)")


def test_a_text_compared_with_a_number_is_named() -> None:
    for found in (Body(b'{"a": "1"}').find, partial(find_in, {"a": "1"})):
        with pytest.raises(InvalidRecord, match="JMESPath 'a > `0`' does not fit the body"):
            found("a > `0`")


@given(st.binary(max_size=80))
def test_any_bytes_are_json_or_an_invalid_record(content: bytes) -> None:
    try:
        body = Body(content)
    except InvalidRecord:
        return
    assert body.empty or msgspec.json.decode(body.json, type=msgspec.Raw) is not None
