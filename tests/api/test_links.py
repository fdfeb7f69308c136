"""The Link header, with the examples of RFC 8288."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.links import Link, parse_links


def next_targets(header: str) -> list[str]:
    return [link.target for link in parse_links(header) if "next" in link.rels]


def test_rfc_8288_section_3_5_first_example() -> None:
    (link,) = parse_links(
        '<http://example.com/TheBook/chapter2>; rel="previous"; title="previous chapter"'
    )
    assert (link.target, link.rels) == ("http://example.com/TheBook/chapter2", ("previous",))
    assert link.attributes["title"] == "previous chapter"


def test_rfc_8288_section_3_5_relative_target() -> None:
    assert parse_links('</>; rel="http://example.net/foo"') == [
        Link("/", ("http://example.net/foo",), {"rel": "http://example.net/foo"})
    ]


def test_rfc_8288_section_3_5_anchor_and_encoded_titles() -> None:
    links = parse_links(
        "</TheBook/chapter2>; rel=\"previous\"; title*=UTF-8'de'letztes%20Kapitel, "
        "</TheBook/chapter4>; rel=\"next\"; title*=UTF-8'de'n%c3%a4chstes%20Kapitel"
    )
    assert [(link.target, link.rels) for link in links] == [
        ("/TheBook/chapter2", ("previous",)),
        ("/TheBook/chapter4", ("next",)),
    ]


def test_rfc_8288_section_3_5_several_relations() -> None:
    (link,) = parse_links('<http://example.org/>; rel="start http://example.net/relation/other"')
    assert link.rels == ("start", "http://example.net/relation/other")


@pytest.mark.parametrize(
    "header",
    [
        '<https://a/x?p=2>; rel="next"',
        "<https://a/x?p=2>; rel=next",
        '<https://a/x?p=2>; rel="prev Next"',
        "<https://a/x?p=2>;REL=NEXT",
        '<https://a/x?p=2> ; title="a, b; c" ; rel="next"',
        '<https://a/x?p=2>; title="say \\"hi\\""; rel="next"',
        '<https://a/x?p=2>; results="true"; crossorigin; rel="next"',
        '<https://a/x?p=1>; rel="prev", <https://a/x?p=2>; rel="next", <https://a/x?p=9>; rel="last"',
        '<https://a/x?p=1>; rel="prev",<https://a/x?p=2>; rel="next"',
        '<https://a/x?p=2>; rel="{next}"',
        '< https://a/x?p=2 >; rel="next"',
    ],
)
def test_the_next_link_in_every_spelling(header: str) -> None:
    assert next_targets(header) == ["https://a/x?p=2"]


def test_commas_and_semicolons_inside_a_target_belong_to_it() -> None:
    assert next_targets('<https://a/x?ids=1,2;3>; rel="next"') == ["https://a/x?ids=1,2;3"]


def test_the_first_of_a_repeated_parameter_counts() -> None:
    assert next_targets('<a>; rel="prev"; rel="next"') == []


@pytest.mark.parametrize("header", ["", "nonsense", "<unclosed", "rel=next", '; rel="next"'])
def test_what_is_no_link_is_passed_over(header: str) -> None:
    assert parse_links(header) == []


@given(st.text(max_size=200))
def test_no_header_breaks_the_parser(header: str) -> None:
    assert all(isinstance(link, Link) for link in parse_links(header))


@given(
    st.lists(
        st.tuples(st.from_regex(r"[^<>\s]+", fullmatch=True), st.sampled_from(["next", "prev"])),
        max_size=5,
    )
)
def test_what_is_written_is_read(links: list[tuple[str, str]]) -> None:
    header = ", ".join(f'<{target}>; rel="{rel}"' for target, rel in links)
    assert [(link.target, *link.rels) for link in parse_links(header)] == links
