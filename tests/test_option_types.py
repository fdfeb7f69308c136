"""No option type takes msgspec where it frees memory that is not its own."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Iterator
from os import environ
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

import oauth_taskflow.presets.model
import oauth_taskflow.specs.model  # noqa: F401  # as the line above: defines the options that are looked at
from oauth_taskflow.api.response_rules import ResponseRule
from oauth_taskflow.schema.types import Options
from oauth_taskflow.specs.export_cursor import ExpiredCursor

_CHECKED = {"PYTHONMALLOC": "debug"}  # every memory block is checked when it is freed
_DESCRIBE_BOTH = """
import gc
from oauth_taskflow.presets.schema import preset_schema
from oauth_taskflow.specs.json_schema import spec_schema
spec_schema(), preset_schema()
for _ in range(3):
    gc.collect()
"""
_CONVERT_BOTH = """
import gc, msgspec
from oauth_taskflow.presets.load import load_preset
from oauth_taskflow.specs.schema_errors import to_model
load_preset("hubspot"), to_model({})
for _ in range(3):
    gc.collect()
"""


def _kinds(kind: Any, metas: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The members of the union ``kind``, each with what annotates it."""
    if get_origin(kind) is Annotated:
        yield from _kinds(kind.__origin__, (*metas, *kind.__metadata__))
    elif get_origin(kind) in {Union, types.UnionType}:
        for member in get_args(kind):
            yield from _kinds(member, metas)
    else:
        yield kind, metas


def _mixed(kind: Any) -> Iterator[Any]:
    """The unions in ``kind`` of text with a pattern and a collection."""
    members = list(_kinds(kind))
    has_pattern = any(getattr(meta, "pattern", None) for _, metas in members for meta in metas)
    if has_pattern and any(get_origin(member) for member, _ in members if get_args(member)):
        yield kind
    for member, _ in members:
        for argument in get_args(member):
            yield from _mixed(argument)


def _option_types(root: type[Any]) -> Iterator[type[Any]]:
    for kind in root.__subclasses__():
        yield kind
        yield from _option_types(kind)


def test_no_union_has_both_text_with_a_pattern_and_a_collection() -> None:
    found = {
        f"{kind.__name__}.{name}"
        for kind in _option_types(Options)
        for name, hint in get_type_hints(kind, include_extras=True).items()
        if list(_mixed(hint))
    }

    assert found == set()


def test_such_a_union_would_be_found() -> None:
    text = Annotated[str, msgspec.Meta(pattern="^a")]

    assert list(_mixed(dict[str, text | list[int] | None]))
    assert not list(_mixed(dict[str, text] | list[text | int]))


@pytest.mark.slow
@pytest.mark.parametrize("program", [_DESCRIBE_BOTH, _CONVERT_BOTH], ids=["describe", "convert"])
def test_a_process_that_uses_all_options_ends_well(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environ, **_CHECKED},
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("kind", [ResponseRule, ExpiredCursor])
@pytest.mark.parametrize("status", ["", "6xx", "500", "500-", ["5xx", "oops"], ["5xx\n-"]])
def test_a_text_that_is_no_status_is_refused(kind: type[Any], status: Any) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"matching regex .* in `status`"):
        msgspec.convert({"status": status}, kind)


@pytest.mark.parametrize("kind", [ResponseRule, ExpiredCursor])
@pytest.mark.parametrize("status", [404, "5xx", "500-504", [429, "500-504", "4xx"]])
def test_a_status_class_range_or_list_is_taken(kind: type[Any], status: Any) -> None:
    taken = msgspec.convert({"status": status}, kind).status

    assert (list(taken) if isinstance(taken, tuple) else taken) == status
