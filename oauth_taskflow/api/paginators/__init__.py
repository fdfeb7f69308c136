"""How the next page is found: one file per style, with its options, its behaviour and its flaws.

``Paginate`` is the only list of the styles. A style outside it can be used neither in a spec nor in Python.
"""

from __future__ import annotations

from oauth_taskflow.api.paginators.cursor import CursorPaginator
from oauth_taskflow.api.paginators.custom import CustomPaginator
from oauth_taskflow.api.paginators.keyset import KeysetPaginator
from oauth_taskflow.api.paginators.link_header import LinkHeaderPaginator
from oauth_taskflow.api.paginators.next_url import NextUrlPaginator
from oauth_taskflow.api.paginators.offset import OffsetPaginator
from oauth_taskflow.api.paginators.page_number import PageNumberPaginator
from oauth_taskflow.api.paginators.single_page import SinglePage

__all__ = [
    "CursorPaginator",
    "CustomPaginator",
    "KeysetPaginator",
    "LinkHeaderPaginator",
    "NextUrlPaginator",
    "OffsetPaginator",
    "PageNumberPaginator",
    "Paginate",
    "SinglePage",
]

Paginate = (
    SinglePage
    | PageNumberPaginator
    | OffsetPaginator
    | CursorPaginator
    | KeysetPaginator
    | LinkHeaderPaginator
    | NextUrlPaginator
    | CustomPaginator
)
