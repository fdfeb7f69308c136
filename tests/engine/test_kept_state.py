"""The kept state of a run, and the first answer after it: what cannot be used makes the pull start over."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from cryptography.fernet import Fernet
from msgspec.structs import replace

from oauth_taskflow.api.errors import ApiStatusError
from oauth_taskflow.api.options import CursorPaginator
from oauth_taskflow.api.pull.marks import Announced, PartsMark, SequenceState
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.engine.progress import (
    STATE_VERSION,
    Boundary,
    RunState,
    Seal,
    decode_state,
    encode_state,
)
from oauth_taskflow.engine.resume import StartOver, watch_first_page
from oauth_taskflow.errors import ApiError, NotAPage
from oauth_taskflow.specs.model import Endpoint

PAGE = SequenceState({"params": {"after": "c-7"}}, 1, 5, 5, 5, None, None, Announced(), b"", 0, 0)
START, NOW = Boundary(rows=2), Boundary(rows=7)
STATE = RunState(STATE_VERSION, b"d", START, NOW, PAGE, b"", False, [], 0, 1, 0.0, 1.0, 9.0)


def seal() -> Seal:
    fernet = Fernet(Fernet.generate_key())
    return Seal(fernet.encrypt, fernet.decrypt)


def test_a_sealed_request_comes_back_with_its_key_alone() -> None:
    key = seal()
    content = encode_state(STATE, key)
    assert b"c-7" not in content
    found = decode_state(content, b"d", key)
    assert found is not None
    assert found.page is not None
    assert (found.page.request, found.now) == (PAGE.request, NOW)
    assert decode_state(content, b"d", seal()) is None
    assert decode_state(content, b"of another spec", key) is None
    assert decode_state(content[:-9], b"d", key) is None


def test_without_a_key_the_sequence_of_a_sealed_request_starts_over() -> None:
    found = decode_state(encode_state(STATE, seal()), b"d", None)
    assert found is not None
    assert (found.page, found.now) == (None, START)


def pages(*found: Page | ApiError) -> Generator[Page, None, None]:
    for page in found:
        if isinstance(page, ApiError):
            raise page
        yield page


ENDPOINT = Endpoint(paginate=CursorPaginator(next="next", param="after"))
PARTS = Page([1], 1, "", 0, mark=PartsMark([]))


@pytest.mark.parametrize("error", [NotAPage("s"), ApiStatusError("s", where="", status=410)])
def test_a_first_answer_that_is_no_page_starts_the_sequence_over(error: ApiError) -> None:
    with pytest.raises(StartOver):
        list(watch_first_page(pages(error), ENDPOINT, PAGE))


@pytest.mark.parametrize("error", [ApiError("s"), ApiStatusError("s", where="", status=503)])
def test_an_error_about_something_else_is_raised(error: ApiError) -> None:
    with pytest.raises(type(error)):
        list(watch_first_page(pages(error), ENDPOINT, PAGE))


def test_a_page_of_a_sequence_that_is_read_in_parts_is_no_answer_to_a_dead_cursor() -> None:
    assert list(watch_first_page(pages(PARTS), ENDPOINT, PAGE)) == [PARTS]


def test_a_sequence_without_a_cursor_has_nothing_to_watch() -> None:
    state = replace(PAGE, request=None)
    with pytest.raises(NotAPage):
        list(watch_first_page(pages(NotAPage("s")), ENDPOINT, state))
