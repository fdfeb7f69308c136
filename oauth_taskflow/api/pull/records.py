"""The ``records`` options: where the records of a page are."""

from __future__ import annotations

from typing import Annotated, Literal

from oauth_taskflow.schema.types import JmesPath, Options, doc

AbsentRecords = Literal["fail", "empty"]


class Records(Options, frozen=True, kw_only=True):
    """Where the records of a page are."""

    path: Annotated[
        JmesPath | None, doc("JMESPath of the records; absent: the whole body.", "data.items")
    ] = None
    single: Annotated[
        bool, doc("A single object where a list is expected is one record.", True)
    ] = False
    absent: Annotated[
        AbsentRecords | None,
        doc(
            "An answer without the path, total, flag or page cursor: fail, or empty where the API leaves out an empty "
            "list. By default the provider's preset decides, else it fails. A root error or errors always fails.",
            "empty",
        ),
    ] = None
    require: Annotated[bool, doc("Older form: false means absent: empty.", False)] = True

    @property
    def when_absent(self) -> AbsentRecords | None:
        """``absent``, with ``require`` taken into account; None when neither is written."""
        return self.absent or (None if self.require else "empty")
