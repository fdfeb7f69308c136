"""Names in snake_case, and paths of fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.fields.naming import CONVENTIONS, write_snake_case
from oauth_taskflow.fields.paths import parse_field_path, write_name


@given(st.text(max_size=20), st.sampled_from(sorted(CONVENTIONS)))
def test_writing_a_name_twice_changes_nothing(name: str, convention: str) -> None:
    write = CONVENTIONS[convention]
    assert write(write(name)) == write(name)


@given(st.text(min_size=1, max_size=20))
def test_no_name_becomes_empty(name: str) -> None:
    assert write_snake_case(name)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("createdAt", "created_at"),
        ("HTTPServerID", "http_server_id"),
        ("userIDs", "user_ids"),
        ("URLsSeen", "urls_seen"),
        ("First Name", "first_name"),
        ("first-name", "first_name"),
        ("@odata.etag", "odata_etag"),
        ("_links", "_links"),
        ("__typename", "__typename"),
        ("address2Line", "address2_line"),
        ("already_so", "already_so"),
        ("Größe", "größe"),
        ("2fa", "2fa"),
        ("A", "a"),
        ("---", "---"),
        ("", ""),
    ],
)
def test_snake_case_by_example(name: str, written: str) -> None:
    assert write_snake_case(name) == written


@given(st.text(min_size=1, max_size=10))
def test_every_name_can_be_written_as_a_path(name: str) -> None:
    path = parse_field_path(write_name(name))
    assert path.names == (name,)
    assert not path.has_pattern


@pytest.mark.parametrize(
    "text", ["", ".a", "a.", "a..b", "a[", "a]", "a[0]", "@type", '"a', "a b.", " a", "a "]
)
def test_what_is_not_a_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"ends with a dot|no name before|does not belong"):
        parse_field_path(text)


def test_a_letter_that_becomes_two_in_lower_case_leaves_no_other_character() -> None:
    assert write_snake_case("AİB") == "ai_b"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("id", "id"),
        ("first name", "first name"),
        ("a.b", '"a.b"'),
        ("a[0]", '"a[0]"'),
        ("all*", '"all*"'),
        (" a", '" a"'),
        ('say "a"', r'"say \"a\""'),
        ("a\\.b", r'"a\\.b"'),
    ],
)
def test_a_name_as_a_path_by_example(name: str, written: str) -> None:
    assert write_name(name) == written
    assert parse_field_path(written).names == (name,)
