"""Options of an API's own cursor, which one run keeps for the next: Zendesk's export cursor, Google's sync token."""

from __future__ import annotations

from typing import Annotated

from oauth_taskflow.api.response_rules import StatusMatch, require_statuses
from oauth_taskflow.schema.types import ErrorStatus, JmesPath, Options, Text, doc


class CursorPlace(Options, frozen=True, kw_only=True):
    """Where the last page holds the cursor for the next run."""

    path: Annotated[JmesPath, doc("JMESPath into the body of the last page.", '"@odata.deltaLink"')]
    param: Annotated[
        Text | None,
        doc("The value is a URL: take this query parameter of it.", "$deltatoken"),
    ] = None


class ExpiredCursor(Options, frozen=True, kw_only=True):
    """The answer of an API that knows the cursor no longer: everything is read again, without it."""

    status: Annotated[
        ErrorStatus | StatusMatch | tuple[ErrorStatus | StatusMatch, ...],
        doc("Status, class, range, or a list of them.", 410, [400, 410]),
    ] = 410
    when: Annotated[
        JmesPath | None,
        doc("JMESPath predicate on the JSON body.", "error.code == 'syncStateNotFound'"),
    ] = None

    def __post_init__(self) -> None:
        """Refuses a ``status`` that is not a class or range of statuses."""
        require_statuses(self.status)
