"""Flags of a page: whether others follow, or whether it is the last one, by a field of the body or a header."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_values import show_value
from oauth_taskflow.schema.types import JmesPath, Options, Text, doc

if TYPE_CHECKING:  # loads the HTTP library
    from oauth_taskflow.api.pull.page import PageView

# A path that YAML reads as text without quotes, also in a mapping on one line.
_PLAIN_PATH = re.compile(r"[A-Za-z_][\w.-]*")
_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def quote_path(path: str | None) -> str:
    """Returns ``path`` as YAML on one line, in quotes where it needs them, such as ``'"@odata.count"'``."""
    text = path or ""
    return text if _PLAIN_PATH.fullmatch(text) else "'{}'".format(text.replace("'", "''"))


class PageFlag(Options, frozen=True, kw_only=True):
    """A flag of each page, in the body or in a header."""

    path: Annotated[JmesPath | None, doc("Path of the flag in the body.", "meta.has_more")] = None
    header: Annotated[Text | None, doc("Response header with the flag.", "X-More")] = None
    matches: Annotated[
        Text | None,
        doc(
            "Regular expression for the whole value: the flag is true where it matches, else false. Without it the value "
            "is true, false, yes, no, 1 or 0.",
            "true",
            "[1-9][0-9]*",
        ),
    ] = None
    absent: Annotated[
        bool | None,
        doc("The flag of a page without it, or with null. By default such a page fails.", False),
    ] = None

    @property
    def place(self) -> str:
        """Where the flag is: the path or the header's name; empty when neither is set."""
        return self.path or self.header or ""

    def read(self, page: PageView) -> bool:
        """Returns the flag of ``page``.

        Raises:
            InvalidRecord: it is absent, or its value has no meaning.
        """
        value = page.headers.get(self.header or "") if self.path is None else page.find(self.path)
        if value is None and self.absent is not None:
            return self.absent
        known = self._interpret(value)
        if known is None:
            raise InvalidRecord(
                f"The flag {self.place!r} of page {page.index + 1} is "
                f"{'missing' if value is None else show_value(value)}",
                where=page.where,
                hint=self._hint(value),
            )
        return known

    def _interpret(self, value: Any) -> bool | None:
        if isinstance(value, bool) and self.matches is None:
            return value
        if value is None or isinstance(value, dict | list):
            return None
        text = (str(value).lower() if isinstance(value, bool) else str(value)).strip()
        if self.matches is None:
            return _WORDS.get(text.lower())
        return re.fullmatch(self.matches, text) is not None

    def _hint(self, value: Any) -> str:
        if self.matches is None and isinstance(value, str | int) and self.header is None:
            return (
                "A flag must be true or false on every page; matches: says which other values mean true. For a pointer to the next "
                f"page, page by it (type: next_url or cursor), or write more: {{path: {quote_path(self.path)}, matches: '.+', absent: false}}."
            )
        if self.header is None and self.matches is None:
            return "Correct the path of more or last; it must be true or false on every page."
        if value is None:
            return "Correct the name in more or last; if pages may lack the flag, write absent: false or absent: true."
        return "Write matches: with a regular expression for the values that mean true."


Flag = JmesPath | PageFlag


def read_flag_option(option: str | PageFlag | None) -> PageFlag | None:
    """Returns the option ``more`` or ``last`` in its long form; None without it."""
    return PageFlag(path=option) if isinstance(option, str) else option


def find_flag_flaws(option: str | PageFlag | None) -> Iterator[tuple[bool, str, str]]:
    """Yields the mistakes of a flag: whether something is missing, the message, the hint."""
    if not isinstance(option, PageFlag):
        return
    if not option.place:
        yield True, "the flag has no place", "Write path: has_more, or header: X-More."
    if option.path and option.header:
        yield False, "path and header both hold the flag", "Keep one of them."
