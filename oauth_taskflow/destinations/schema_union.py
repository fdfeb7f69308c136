"""Brings the parts of a run to one schema before they are committed, where their format has schemas."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import IO

from msgspec.structs import replace

from oauth_taskflow.destinations.formats.base import SchemaFiles
from oauth_taskflow.destinations.kept_parts import KeptPart
from oauth_taskflow.destinations.output_folders import Attempt
from oauth_taskflow.destinations.part_stream import MeasuredFile
from oauth_taskflow.record_schema.model import RecordSchema, unite_schemas

# Opens a file of the output folder for reading, by the name that it has until the commit.
FileOpener = Callable[[str], IO[bytes]]


def unite_parts(
    attempt: Attempt, parts: Sequence[KeptPart], files: SchemaFiles, open_file: FileOpener
) -> tuple[list[KeptPart], RecordSchema]:
    """Returns the parts with one schema, and that schema; ``parts`` must not be empty.

    A narrower part is written again, under another name: what was kept of the run stays as it is until the commit.
    """
    schemas = []
    for part in parts:
        with closing(open_file(attempt.kept_name(part.name))) as file:
            schemas.append(files.read_schema(file))
    united = functools.reduce(unite_schemas, schemas)
    found = list(parts)
    for place, schema in enumerate(schemas):
        if files.is_same(schema, united):
            continue
        part = parts[place]
        folder = part.name.rpartition("/")[0]
        target = MeasuredFile(attempt.open_part(len(parts) + place, folder))
        with closing(open_file(attempt.kept_name(part.name))) as file:
            files.rewrite(file, target, united)
        target.close()
        written = target.figures(target.part.name, part.rows)
        found[place] = replace(written, partition=part.partition)
    return found, united
