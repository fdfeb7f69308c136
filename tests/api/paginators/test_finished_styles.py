"""Every style answers all that the pull loop, the check and the warnings ask; a half-finished one is named here."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import msgspec
import pytest

from oauth_taskflow.api import paginators
from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.schema.types import JmesPath

PAGING_PAGE = Path(__file__).resolve().parents[3] / "docs" / "paging.md"
Style = type[PagingOptions]


def written_styles() -> list[Style]:
    """Every style that a module of the package defines."""
    names = [module.name for module in pkgutil.iter_modules(paginators.__path__)]
    modules = [importlib.import_module(f"{paginators.__name__}.{name}") for name in names]
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, PagingOptions)
        and value is not PagingOptions
        and value.__module__ == module.__name__
    ]


def holds_a_path(hint: Any) -> bool:
    return hint is JmesPath or hint == JmesPath or any(map(holds_a_path, get_args(hint)))


def path_options(style: Style) -> set[str]:
    """The options whose type is a JMESPath; ``total`` has a long form and is looked at by itself."""
    hints = get_type_hints(style, include_extras=True)
    fields = set(style.__struct_fields__) - {"total"}
    return {name for name in fields if holds_a_path(hints[name])}


def missing_parts(style: Style) -> list[str]:
    """What ``style`` lacks to be used by a spec, checked, run and read about."""
    own = vars(style)
    asked = [name for name in ("flaws", "end_marker", "ends_by") if name not in own]
    if not {"next_request", "build"} & set(own):
        asked.append("next_request")
    hidden = [name for name in style.__struct_fields__ if inspect.isfunction(own.get(name))]
    asked += [f"another name for the method {name}" for name in hidden]
    properties = msgspec.json.schema(style)["$defs"][style.__name__]["properties"]
    undocumented = [
        f"description of {name}"
        for name, schema in properties.items()
        if name != "type" and not ("description" in schema and "examples" in schema)
    ]
    tag = style.__struct_config__.tag
    others = {
        "docstring": bool(own.get("__doc__")),
        "place in Paginate": style in get_args(Paginate),
        "row in docs/paging.md": f"`{tag}`" in PAGING_PAGE.read_text(),
        "path_options": set(style.path_options) == path_options(style),
    }
    return (
        asked + undocumented + hidden + [name for name, is_there in others.items() if not is_there]
    )


@pytest.mark.parametrize("style", written_styles(), ids=lambda style: style.__struct_config__.tag)
def test_every_style_is_finished(style: Style) -> None:
    assert missing_parts(style) == []


def test_every_style_of_the_union_has_a_module() -> None:
    assert set(get_args(Paginate)) == set(written_styles())


def test_a_half_finished_style_is_named_with_everything_that_it_lacks() -> None:
    class HalfFinished(PagingOptions, frozen=True, kw_only=True, tag="half"):
        page: JmesPath | None = None
        size: Annotated[int | None, msgspec.Meta(description="Rows.")] = None

    assert missing_parts(HalfFinished) == [
        "flaws",
        "end_marker",
        "ends_by",
        "next_request",
        "description of page",
        "description of size",
        "docstring",
        "place in Paginate",
        "row in docs/paging.md",
        "path_options",
    ]


def test_a_method_with_the_name_of_an_option_is_named() -> None:
    class Hiding(PagingOptions, frozen=True, kw_only=True, tag="hiding"):
        """A style whose method takes the place of an option."""

        def last(self) -> None:  # type: ignore[misc, override]  # the mistake
            """The mistake."""

    assert "another name for the method last" in missing_parts(Hiding)
