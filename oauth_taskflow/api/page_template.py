"""Requests whose templates use the values of a page: ``{{ page.token }}`` and others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:  # the request holds its template
    from oauth_taskflow.api.request import ApiRequest


class PageTemplate(Struct, frozen=True):
    """The templates of a request: ``names`` are the page names in them, ``render`` gives the request for their values.

    A value that a template places is not sent by the paginator too. A name without a value is undefined.
    """

    names: frozenset[str]
    render: Callable[[Mapping[str, Any]], ApiRequest]

    def fill(self, values: Mapping[str, Any]) -> ApiRequest:
        """Returns the request with those of ``values`` that the templates place, except None."""
        return self.render(
            {
                name: value
                for name, value in values.items()
                if name in self.names and value is not None
            }
        )

    def then(self, change: Callable[[ApiRequest], ApiRequest]) -> PageTemplate:
        """Returns the template whose requests are changed once they are rendered."""
        return PageTemplate(self.names, lambda values: change(self.render(values)))
