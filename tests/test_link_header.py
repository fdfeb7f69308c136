"""The Link header, with the examples of RFC 8288."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.http_headers import Link, Links, parse_links


def next_targets(header: str) -> list[str]:
    return [link.target for link in parse_links(header).found if "next" in link.rels]


def test_rfc_8288_section_3_5_first_example() -> None:
    (link,) = parse_links(
        '<http://example.com/TheBook/chapter2>; rel="previous"; title="previous chapter"'
    ).found
    assert (link.target, link.rels) == ("http://example.com/TheBook/chapter2", ("previous",))
    assert link.attributes["title"] == "previous chapter"


def test_rfc_8288_section_3_5_relative_target() -> None:
    assert parse_links('</>; rel="http://example.net/foo"').found == (
        Link("/", ("http://example.net/foo",), {"rel": "http://example.net/foo"}),
    )


def test_rfc_8288_section_3_5_anchor_and_encoded_titles() -> None:
    links = parse_links(
        "</TheBook/chapter2>; rel=\"previous\"; title*=UTF-8'de'letztes%20Kapitel, "
        "</TheBook/chapter4>; rel=\"next\"; title*=UTF-8'de'n%c3%a4chstes%20Kapitel"
    ).found
    assert [(link.target, link.rels) for link in links] == [
        ("/TheBook/chapter2", ("previous",)),
        ("/TheBook/chapter4", ("next",)),
    ]


def test_rfc_8288_section_3_5_several_relations() -> None:
    (link,) = parse_links(
        '<http://example.org/>; rel="start http://example.net/relation/other"'
    ).found
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
        "<https://a/x?p=2>; rel='next'",
        "<https://a/x?p=2>; rel='prev next'",
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
def test_text_without_links_gives_no_links(header: str) -> None:
    assert parse_links(header) == Links((), is_malformed=header != "")


@given(st.text(max_size=200))
def test_no_header_breaks_the_parser(header: str) -> None:
    assert all(isinstance(link, Link) for link in parse_links(header).found)


@given(
    st.lists(
        st.tuples(st.from_regex(r"[^<>\s]+", fullmatch=True), st.sampled_from(["next", "prev"])),
        max_size=5,
    )
)
def test_written_links_are_read_back(links: list[tuple[str, str]]) -> None:
    header = ", ".join(f'<{target}>; rel="{rel}"' for target, rel in links)
    assert [(link.target, *link.rels) for link in parse_links(header).found] == links


@pytest.mark.parametrize(
    "header",
    [
        '<b>;; rel="next"',
        '<b>; ; ;rel="next"',
        '<b>; =x; rel="next"',
        '<b>; title=; rel="next"',
        '<b>;title;rel="next"',
        '<b>; title="a, <c>; rel=prev"; rel="next"',
        '<b>; title="a\\"; rel=\\"prev"; rel="next"',
        '<b>; a = "x" ; rel = next',
        "<b>; rel*=UTF-8''prev; rel=\"next\"",
        "<b>; title*=UTF-8'en'%ff%fe; rel=next",
        "<b>; title*=nonsense; rel=next",
        '<b>; "quoted"; rel="next"',
        "<b>;rel=next;",
        "<b>;rel=next,",
        ' , ,\t<b>; rel="next" , ',
        '<b>; rel="\tnext\t start "',
        '<b>; rel="next"; anchor=""',
    ],
)
def test_appendix_b_3_keeps_rel_after_any_other_parameter(header: str) -> None:
    links = parse_links(header)
    assert next_targets(header) == ["b"]
    assert (links.is_malformed, links.found[0].is_about("https://a/x?p=1")) == (False, True)


@pytest.mark.parametrize(
    "header",
    [
        '<b; rel="next"',
        '<b> rel="next"',
        '<b>; a b; rel="next"',
        '<b>; title="open; rel=next',
        '<a>; rel="prev", nonsense, <b>; rel="next"',
        '<a>; rel="prev"x, <b>; rel="next"',
        '<a>; rel="prev\\',
    ],
)
def test_a_header_that_cannot_be_read_to_its_end_says_so(header: str) -> None:
    links = parse_links(header)
    assert (links.is_malformed, next_targets(header)) == (True, [])


def test_an_extended_title_goes_before_the_plain_one() -> None:
    (link,) = parse_links("<b>; title=plain; title*=UTF-8'de'n%c3%a4chstes").found
    assert link.attributes["title"] == "nächstes"


PAGE = "https://api.example.com/rows?page=1"


@pytest.mark.parametrize(
    ("anchor", "about"),
    [
        ("", True),
        ("?page=1", True),
        ("/rows?page=1", True),
        ("https://API.example.com:443/rows?page=1", True),
        ("http://api.example.com/rows?page=1", True),
        ("#part", False),
        ("?page=2", False),
        ("/other?page=1", False),
        ("https://other.example.com/rows?page=1", False),
        ("http://[", False),
    ],
)
def test_a_link_with_an_anchor_elsewhere_is_not_about_the_page(anchor: str, about: bool) -> None:
    (link,) = parse_links(f'<b>; anchor="{anchor}"; rel="next"').found
    assert link.is_about(PAGE) is about


tokens = st.text(st.sampled_from("abcxyzABC019-._~*!"), max_size=6)
quoted = st.text(st.sampled_from("abc ,;<>=\"\\'%\t"), max_size=10)
values = st.one_of(
    st.just(""),
    tokens.map(lambda text: f"={text}"),
    quoted.map(lambda text: '="' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'),
)
blanks = st.text(st.sampled_from(" \t"), max_size=2)
parameters = st.builds(
    lambda before, name, value, after: f"{before};{after}{name}{value}",
    blanks,
    tokens.filter(lambda name: name.lower() not in {"rel", "anchor"}),
    values,
    blanks,
)


@given(st.lists(parameters, max_size=4), st.lists(parameters, max_size=4), quoted)
def test_no_parameter_hides_the_relation(before: list[str], after: list[str], title: str) -> None:
    escaped = title.replace("\\", "\\\\").replace('"', '\\"')
    header = (
        f'<a>; title="{escaped}", <b>{"".join(before)};rel="next"{"".join(after)}, <c>; rel=last'
    )
    links = parse_links(header)
    assert not links.is_malformed
    assert [link.rels for link in links.found] == [(), ("next",), ("last",)]
    assert links.found[0].attributes["title"] == title


def test_a_semicolon_behind_the_last_parameter_is_passed_over() -> None:
    assert next_targets("<https://a.example/?p=2>; rel=next;") == ["https://a.example/?p=2"]
