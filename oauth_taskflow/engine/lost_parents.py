"""The hint for a parent record that was deleted between its listing and the request for its children."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from oauth_taskflow.api.errors import ApiStatusError
from oauth_taskflow.api.pull.page import Page

_GONE = frozenset({404, 410})


def explain_lost_parent(
    pages: Generator[Page, None, None],
) -> Generator[Page, None, None]:
    """Yields ``pages``, which were asked for with values of ``for_each``.

    Raises:
        ApiStatusError: as ``pages`` do; where page one does not exist, its hint says what leaves it out.
    """
    has_page = False
    with closing(pages):
        try:
            for page in pages:
                yield page
                has_page = True
        except ApiStatusError as error:
            if error.status in _GONE and not has_page:
                error.hint += (
                    " If some values of for_each lead nowhere by right, such as a parent record that was deleted after it was listed, "
                    f"write responses: [{{status: {error.status}, action: skip}}]."
                )
            raise
