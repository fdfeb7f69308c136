"""The base class of option types, and the value types that their fields have in common.

A field's ``Meta`` is its page in the reference.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from oauth_taskflow.schema import sizes


def doc(description: str, *examples: Any, **constraints: Any) -> Meta:
    """Returns a field's description, examples and limits, as JSON Schema knows them."""
    return Meta(description=description, examples=list(examples) or None, **constraints)


Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1)]
Whole = Annotated[int, Meta(ge=0)]
AtOnce = Annotated[int, Meta(ge=1, le=32)]
Concurrency = Literal["auto"] | AtOnce
Seconds = Annotated[float, Meta(gt=0)]
LONGEST_TIMEOUT = 86_400
"""Seconds, a day: no answer takes longer, and sockets overflow at times that are typing errors."""
Timeout = Annotated[float, Meta(gt=0, le=LONGEST_TIMEOUT)]
DottedPath = Annotated[str, Meta(pattern=r"^\w+(\.\w+)+$")]
JmesPath = Annotated[
    str, doc("JMESPath into the response body.", "paging.next.after", min_length=1)
]
Duration = Annotated[
    str,
    doc(
        "ISO 8601 duration.",
        "PT30S",
        "P7D",
        pattern=r"^P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$",
    ),
]
DataSize = (
    Annotated[str, doc("A size with its unit.", "128MB", pattern=sizes.PATTERN)]
    | Annotated[int, doc("A number of bytes.", 128_000_000, ge=1)]
)
ErrorStatus = Annotated[int, doc("An HTTP status.", 404, ge=100, le=599)]


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every option type: immutable, keyword-only, unknown fields refused."""
