"""The folders that the output of a run is in, in Hive's partition style, and what an earlier try left there.

``<destination path>/run_id=<run id>``, and below it ``map_index=<n>`` for each instance of a mapped endpoint.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

from oauth_taskflow.destinations.files import has_output, output_folder, remove_output
from oauth_taskflow.destinations.output_folders import as_destination_errors
from oauth_taskflow.engine.for_each import Item, Share, for_each_options
from oauth_taskflow.engine.segments import check_authority, segments_only
from oauth_taskflow.engine.templates import render_text
from oauth_taskflow.specs.model import Endpoint

_INSTANCE = re.compile(r"map_index=(\d+)")


def run_folder(
    endpoint: Endpoint,
    run_id: str,
    scope: Mapping[str, Any],
    item: Item,
    given: Collection[str] = (),
) -> str:
    """The folder of a run, without the part of a mapped instance; list values of ``item`` may stand in its path.

    ``given`` names the params whose values came with the run: each may be one segment of the path, and no more.

    Raises:
        TemplateFailed: as ``render_text`` raises.
        DestinationError: a value that came with the run is no path segment.
    """
    options = endpoint.destination
    assert options is not None  # specs.rules: destination-missing
    values = {name: share.value for name, share in item.items() if share.file is None}
    base = render_text(options.path or "", {**segments_only(scope, given), **values})
    check_authority(base, scope, given)
    return f"{base.rstrip('/')}/run_id={quote(run_id, safe='')}"


def instance_folder(base: str, map_index: int) -> str:
    """The folder that belongs to one task instance alone."""
    return base if map_index < 0 else f"{base}/map_index={map_index}"


def run_folders(
    endpoint: Endpoint, run_id: str, scope: Mapping[str, Any], given: Collection[str] = ()
) -> list[str]:
    """Every ``run_folder`` of a mapped endpoint, whether this run writes there or not."""
    lists = {
        name: [Share(value=value) for value in option.values or ()]
        for name, option in for_each_options(endpoint).items()
        if option.endpoint is None
    }
    found = (
        run_folder(endpoint, run_id, scope, dict(zip(lists, values, strict=True)), given)
        for values in itertools.product(*lists.values())
    )
    return list(dict.fromkeys(found))


def remove_stale(base: Any, current: Collection[int]) -> int:
    """Remove the output of instances that are not in ``current`` (-1: the unmapped one) below ``base``; how many.

    An earlier try of the same run had them when its parents had more records, or its list more values.

    Raises:
        DestinationError: the folder cannot be listed, or something in it not removed.
    """
    stale = [folder for folder, number in _instances(base) if number not in current]
    if -1 not in current and has_output(base):
        stale.append(base)
    return sum(remove_output(folder) for folder in stale)


def _instances(base: Any) -> list[tuple[Any, int]]:
    with as_destination_errors("Listing the output folder", base):
        names = output_folder(base).subfolders()
    matches = (_INSTANCE.fullmatch(name) for name in names)
    return [(base / match[0], int(match[1])) for match in matches if match is not None]
