"""The options that a session and a spec have in common, under the name that Python code imports them by.

Each type lives next to the code that acts on it; this module only forwards.
"""

from __future__ import annotations

from oauth_taskflow.api.paginators import (
    CursorPaginator,
    CustomPaginator,
    KeysetPaginator,
    LinkHeaderPaginator,
    NextUrlPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    SinglePage,
)
from oauth_taskflow.api.paginators.base import PagingOptions, TotalRows
from oauth_taskflow.api.paginators.cap import RowCap
from oauth_taskflow.api.paginators.cursor import LastRecord
from oauth_taskflow.api.paginators.flags import PageFlag
from oauth_taskflow.api.pull.records import AbsentRecords, Records
from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.api.response_limits import Limits
from oauth_taskflow.api.response_rules import Action, ResponseRule, StatusMatch

__all__ = [
    "AbsentRecords",
    "Action",
    "CursorPaginator",
    "Cursors",
    "CustomPages",
    "CustomPaginator",
    "KeysetPaginator",
    "LastRecord",
    "Limits",
    "LinkHeaderPaginator",
    "Links",
    "NextUrlPaginator",
    "NextUrls",
    "NoPages",
    "OffsetPaginator",
    "Offsets",
    "PageFlag",
    "PageNumberPaginator",
    "PageNumbers",
    "Paginate",
    "PagingOptions",
    "RateLimit",
    "Records",
    "ResponseRule",
    "RowCap",
    "SinglePage",
    "StatusMatch",
    "TotalRows",
]

# Former names, importable for one more release.
NoPages = SinglePage
PageNumbers = PageNumberPaginator
Offsets = OffsetPaginator
Cursors = CursorPaginator
Links = LinkHeaderPaginator
NextUrls = NextUrlPaginator
CustomPages = CustomPaginator
