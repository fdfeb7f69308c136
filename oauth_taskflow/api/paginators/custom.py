"""The ``custom`` style: a class of the author's own, with the methods ``first`` and ``next``."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, runtime_checkable

from oauth_taskflow.api.paginators.base import EndsBy, Flaw, Paginator, PagingOptions
from oauth_taskflow.errors import SpecError
from oauth_taskflow.schema.types import DottedPath, doc

if TYPE_CHECKING:  # these load the HTTP library
    from oauth_taskflow.api.pull.page import PageView
    from oauth_taskflow.api.request import ApiRequest


class AuthorPaginator(Protocol):
    """The methods of an author's class."""

    def first(self, request: ApiRequest) -> ApiRequest:
        """Returns ``request`` with what the first page needs."""

    def next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """Returns the request after ``page``, which answered ``request``; None at the end."""


@runtime_checkable
class AuthorIndexedPaginator(AuthorPaginator, Protocol):
    """Further methods of a class that knows any page's request beforehand; see ``IndexedPaginator``."""

    @property
    def prefetch(self) -> int:
        """The number of pages fetched at once."""

    def at(self, request: ApiRequest, index: int) -> ApiRequest:
        """Returns the request for page ``index``."""

    def pages(self, page: PageView) -> int | None:
        """Returns the number of pages to expect."""

    def page_count(self, page: PageView) -> int | None:
        """Returns the number of pages that ``page`` announces."""


class _Adapter:
    """Shows an author's object as a ``Paginator``."""

    def __init__(self, author: AuthorPaginator) -> None:
        self.first_request = author.first
        self.next_request = author.next


class _IndexedAdapter(_Adapter):
    """Shows an author's object as an ``IndexedPaginator``."""

    def __init__(self, author: AuthorIndexedPaginator) -> None:
        super().__init__(author)
        self._author = author
        self.request_at = author.at
        self.estimate_page_count = author.pages
        self.find_page_count = author.page_count

    @property
    def pages_at_once(self) -> int:
        """The author's ``prefetch``."""
        return self._author.prefetch


class CustomPaginator(PagingOptions, frozen=True, kw_only=True, tag="custom"):
    """A paginator of your own: a class named by its dotted path, built with ``options``."""

    path: Annotated[
        DottedPath | None,
        doc("Dotted path of the class.", "my_package.paging.Backwards"),
    ] = None
    options: Annotated[dict[str, Any], doc("Keyword arguments of the class.", {"size": 50})] = {}

    ends_by: ClassVar[EndsBy] = "class"

    def build(self) -> Paginator:
        """Returns a new object of the author's class for one sequence.

        Raises:
            SpecError: the class cannot be imported, refuses its options, or lacks a method.
        """
        module, _, name = (self.path or "").rpartition(".")
        try:
            made = getattr(importlib.import_module(module), name)(**self.options)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise SpecError([f"Paginator {self.path!r} cannot be built: {error}"]) from error
        if not (callable(getattr(made, "first", None)) and callable(getattr(made, "next", None))):
            raise SpecError([f"Paginator {self.path!r} lacks the methods first and next"])
        return _IndexedAdapter(made) if isinstance(made, AuthorIndexedPaginator) else _Adapter(made)

    def flaws(self, written: Collection[str]) -> Iterator[Flaw]:  # noqa: ARG002 - the protocol's
        """Yields a class without a path."""
        if self.path is None:
            hint = "Write path: my_package.paging.MyPages."
            yield Flaw("incomplete", "path", "no class is named", hint)

    def end_marker(self) -> str | None:
        """Returns None: the author's class decides."""
        return None
