"""Rules about the files of a destination: their size, and the folders that they are spread over."""

from __future__ import annotations

import re
from collections.abc import Iterator

from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.destinations.output_folders import OUTPUT_LABELS
from oauth_taskflow.destinations.partitions import LABEL, as_partition
from oauth_taskflow.schema.sizes import read_size
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule

# A store asks for a request or more a file, and a reader for another.
_SMALLEST_PART = 1_000_000


def _file_destinations(view: EndpointView) -> Iterator[tuple[YamlPath, FileDestination]]:
    for path, options in view.destinations:
        if isinstance(options, FileDestination):
            yield path, options


@endpoint_rule("part-size")
def part_size(view: EndpointView) -> Findings:
    """A file has a megabyte at least, so that a large pull does not end in thousands of them.

    Bad: `destination: {target_part_size: 64kB}`

    Good: `destination: {target_part_size: 128MB}`
    """
    for path, options in _file_destinations(view):
        size = options.target_part_size
        if size is not None and read_size(size) < _SMALLEST_PART:
            message = f"files of {size if isinstance(size, str) else f'{size} bytes'} are too small"
            yield Finding((*path, "target_part_size"), message, "Write 1MB or more.")


@endpoint_rule("partitions")
def partitions(view: EndpointView) -> Findings:
    """Each level of folders has its own name, which `map_index` and `run_id` are not.

    Bad: `partition_by: [id, customer.id]`, `partition_by: ["invoice number"]`

    Good: `partition_by: [id, {field: customer.id, name: customer}]`
    """
    for path, options in _file_destinations(view):
        seen: set[str] = set(OUTPUT_LABELS)
        for index, level in enumerate(map(as_partition, options.partition_by)):
            place = (*path, "partition_by", index)
            if level.label in seen:
                yield Finding(place, f"another level is named {level.label!r}", "Give it a name.")
            elif re.fullmatch(LABEL, level.label) is None:
                message = f"{level.label!r} is not a name for folders"
                yield Finding(place, message, "Give it a name of letters, digits, _ and -.")
            seen.add(level.label)
