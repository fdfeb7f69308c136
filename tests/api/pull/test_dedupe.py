"""Records whose primary key came before are dropped."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.pull.keys.dedupe import Deduplicator, Replay
from oauth_taskflow.api.pull.keys.record_digests import sort_content
from oauth_taskflow.errors import InvalidRecord, PaginationLoop


def raw(record: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(record).encode())


@given(st.lists(st.integers(0, 9) | st.text(max_size=2), max_size=30), st.booleans())
def test_each_key_passes_once_in_order_of_arrival(keys: list[Any], decoded: bool) -> None:
    seen = Deduplicator(["id"])
    records = [{"id": key, "n": number} for number, key in enumerate(keys)]
    half = len(records) // 2
    passed: list[Any] = []
    for part in (records[:half], records[half:]):
        passed += seen.drop_seen(part if decoded else [raw(record) for record in part])
    ids = [(record if decoded else msgspec.json.decode(record))["id"] for record in passed]
    assert ids == list(dict.fromkeys(keys))
    assert seen.dropped == len(keys) - len(ids)


def test_compound_and_nested_keys_keep_their_parts_apart() -> None:
    seen = Deduplicator(["org.id", "id"])
    records = [
        {"org": {"id": org}, "id": number} for org, number in [("1", "2"), ("12", ""), ("1", "2")]
    ]
    assert len(seen.drop_seen([raw(record) for record in records])) == 2


def test_text_and_number_are_different_keys() -> None:
    assert len(Deduplicator(["id"]).drop_seen([{"id": 1}, {"id": "1"}])) == 2


@pytest.mark.parametrize("record", [{"name": "a"}, {"id": None}, "scalar", 5])
def test_a_record_without_its_key_is_named(record: Any) -> None:
    for form in (record, raw(record)):
        with pytest.raises(InvalidRecord, match="'id', which primary_key names") as caught:
            Deduplicator(["id"]).drop_seen([form])
        assert "Correct primary_key" in str(caught.value)


def test_a_key_may_come_again_under_another_parent() -> None:
    seen = Deduplicator(["id"])
    assert seen.drop_seen([{"id": 1}, {"id": 1}]) == [{"id": 1}]
    seen.begin_sequence(0)
    assert seen.drop_seen([{"id": 1}]) == []
    seen.begin_sequence(1)
    assert seen.drop_seen([{"id": 1}]) == [{"id": 1}]


def test_under_another_parent_only_the_same_record_is_a_repeat() -> None:
    seen = Deduplicator(["id"], across_parents=True)
    first = [{"id": 1, "n": "a"}, {"id": 2, "n": "b"}]
    assert seen.drop_seen([raw(record) for record in first]) == [raw(record) for record in first]
    seen.begin_sequence(1)
    other = [{"id": 1, "n": "a"}, {"id": 2, "n": "other"}, {"id": 2, "n": "again"}]
    assert seen.drop_seen([raw(record) for record in other]) == [raw(other[1])]
    assert seen.dropped == 2


@pytest.mark.parametrize("across_parents", [False, True])
def test_a_version_that_differs_from_the_last_one_is_no_repeat(across_parents: bool) -> None:
    seen = Deduplicator(["id"], across_parents=across_parents, keeps_versions=True)
    on, off, other = ({"id": 1, "on": True}, {"id": 1, "on": False}, {"id": 2})
    assert seen.drop_seen([on, other, off, off, on]) == [on, other, off, on]
    seen.begin_sequence(0)
    assert seen.drop_seen([on, off, other]) == [off]
    state = seen.save()
    seen = Deduplicator(["id"], across_parents=across_parents, keeps_versions=True)
    seen.restore(state)
    seen.replay([on, other, off], Replay.THIS_SEQUENCE)
    assert seen.drop_seen([off, other, on]) == [on]
    seen.begin_sequence(1)
    assert seen.drop_seen([{"id": 1}, other]) == [{"id": 1}] + [other] * (not across_parents)


def test_a_record_that_was_left_out_is_no_repeat_under_another_parent() -> None:
    seen = Deduplicator(["id"], across_parents=True)
    first, other = {"id": 1, "n": "a"}, {"id": 1, "n": "b"}
    assert seen.drop_seen([first]) == [first]
    seen.begin_sequence(0)
    assert seen.drop_seen([other]) == []
    seen.begin_sequence(1)
    assert seen.drop_seen([other]) == [other]


@pytest.mark.parametrize("options", [{}, {"across_parents": True}, {"keeps_versions": True}])
def test_what_is_saved_shows_whether_records_come_back_as_they_were(options: Any) -> None:
    seen = Deduplicator(["id"], **options)
    seen.drop_seen([raw({"id": 1.5}), raw({"id": 2})])
    seen.drop_seen([raw({"id": 2}), raw({"id": 3})])
    for number, is_same in ((1.5, True), ("1.5", False), (1.25, False)):
        other = Deduplicator(["id"], **options)
        other.restore(seen.save())
        kept = [raw({"id": each}) for each in (number, 2, 3)]
        other.replay(kept, Replay.THIS_SEQUENCE)
        assert (other.save() == seen.save()) == is_same


def test_sorted_content_is_that_of_jsonb() -> None:
    first = b'{"b":[1e2,1.50,-1.5E-7],"a":{"z":12345678901234567890123,"y":"\\u00fc"}}'
    other = b'{"a": {"y": "\xc3\xbc", "z": 12345678901234567890123}, "b": [100, 1.50, -0.00000015]}'
    assert sort_content(msgspec.Raw(first)) == sort_content(msgspec.Raw(other))
    assert sort_content(json.loads(b'{"b":1,"a":2}')) == sort_content(msgspec.Raw(b'{"a":2,"b":1}'))
    for one, another in ((b"[1.5]", b"[1.50]"), (b'{"a":null}', b"{}"), (b'["1"]', b"[1]")):
        assert sort_content(msgspec.Raw(one)) != sort_content(msgspec.Raw(another))
    for text in (b"[1e999999999]", b'["\\ud83d"]'):
        assert sort_content(msgspec.Raw(text)) == text


def test_pages_of_new_versions_are_no_loop() -> None:
    seen = Deduplicator(["id"], keeps_versions=True)
    for number in range(9):
        assert len(seen.drop_seen([{"id": 1, "n": number}])) == 1
    for _ in range(2):
        assert seen.drop_seen([{"id": 1, "n": 8}]) == []
    with pytest.raises(PaginationLoop):
        seen.drop_seen([{"id": 1, "n": 8}])


def test_three_pages_of_repeats_in_one_sequence_are_a_loop() -> None:
    seen = Deduplicator(["id"])
    page = [{"id": 1}, {"id": 2}]
    seen.drop_seen(page)
    for number in range(2):  # overlap of neighbouring pages
        assert seen.drop_seen([{"id": 2}, {"id": 3 + number}]) == [{"id": 3 + number}]
    for index in (3, 4):
        assert seen.drop_seen(page, index=index) == []
    with pytest.raises(PaginationLoop, match=r"Pages 4 to 6 hold nothing but .* at GET http"):
        seen.drop_seen(page, index=5, where="at GET http://x")


def test_repeats_of_another_sequence_are_a_loop_only_when_repeated_within_it() -> None:
    seen = Deduplicator(["id"])
    pages = [[{"id": number}] for number in range(5)]
    for page in pages:
        seen.drop_seen(page)
    seen.begin_sequence(0)
    assert [seen.drop_seen(page) for page in pages] == [[]] * 5
    assert [seen.drop_seen(page) for page in pages[:2]] == [[], []]
    with pytest.raises(PaginationLoop):
        seen.drop_seen(pages[2])


exact_keys = st.integers(-(10**25), 10**25).map(str) | st.builds(
    "{}.{}".format, st.integers(0, 3), st.from_regex(r"[0-9]{18,22}", fullmatch=True)
)


@given(st.lists(exact_keys, max_size=8), st.booleans())
def test_keys_are_compared_to_the_last_digit(texts: list[str], nested: bool) -> None:
    path, form = ("a.id", '{"a":{"id":%s}}') if nested else ("id", '{"id":%s}')
    records = [msgspec.Raw((form % text).encode()) for text in texts]
    kept = Deduplicator([path]).drop_seen(records)
    assert kept == [msgspec.Raw((form % text).encode()) for text in dict.fromkeys(texts)]
