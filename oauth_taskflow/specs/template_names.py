"""The names templates may use. Tasks render with exactly these, so a template that passes here renders there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

RUN_NAMES = frozenset(
    {
        "params",
        "endpoint",
        "dag_id",
        "run_id",
        "run_after",
        "ds",
        "ds_nodash",
        "ts",
        "ts_nodash",
        "logical_date",
        "data_interval_start",
        "data_interval_end",
        "map_index",
    }
)
"""Names in every template, whatever the spec says."""

WINDOW = "window"
"""Name of the incremental window; there only in requests of endpoints with ``incremental``."""

WINDOW_NAMES = frozenset({"start", "end"})
"""Attributes of ``window``."""

FIELD_NAMES = frozenset({"record", "now"})
"""Names in the templates of ``fields.set`` beside those of the request: the record, and the instant the task began."""

WATERMARK = "watermark"
"""Name of the stored watermark; there only in requests of endpoints that keep one."""

WATERMARK_NAMES = frozenset({"value", "cursor"})
"""Attributes of ``watermark``."""

WHOLE_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
"""A template in a text, from its opening to its closing braces."""

PARAM_TEMPLATE = re.compile(r"\{\{\s*params\.(\w+)\s*\}\}")
"""A template that is one param and nothing else."""

RESERVED_NAMES = RUN_NAMES | {WINDOW}
"""Names that a ``for_each`` variable must not take."""


def request_names(
    for_each: Iterable[str], *, incremental: bool, watermark: bool = False
) -> frozenset[str]:
    """The names in a request's templates."""
    added = [WINDOW] if incremental else []
    added += [WATERMARK] if watermark else []
    return _names_with((*for_each, *added))


@lru_cache(maxsize=256)
def _names_with(names: tuple[str, ...]) -> frozenset[str]:
    return RUN_NAMES.union(names)


def destination_names(list_variables: Iterable[str]) -> frozenset[str]:
    """The names in a destination's path: one per task, so neither the window nor records of a parent are there."""
    return _names_with(tuple(list_variables))
