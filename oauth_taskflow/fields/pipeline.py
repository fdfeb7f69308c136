"""The steps of ``fields`` in their fixed order, put together for one run of an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.fields.casts import CASTS
from oauth_taskflow.fields.convert import ConvertStep
from oauth_taskflow.fields.dates import build_date_converter
from oauth_taskflow.fields.members import Members, close_record, open_record
from oauth_taskflow.fields.names_step import NamesStep
from oauth_taskflow.fields.new_values import RecordUse, Renderer, SetStep
from oauth_taskflow.fields.options import Fields
from oauth_taskflow.fields.shapes import CollectStep, DropStep, FlattenStep, MoveStep, SpreadStep
from oauth_taskflow.fields.values import DropValuesStep, HashStep

Step = Callable[[Members], None]


class Tools(NamedTuple):
    """The parts of a run that steps use: how templates are rendered and read, and the key of ``hash``."""

    render: Renderer
    find_use: RecordUse
    hash_key: str = ""


class Pipeline:
    """Reshapes records. A record that comes closed (``msgspec.Raw``) is opened only where a step looks.

    Raises:
        ValueError: the options have a path, form or zone that cannot be read; the check of specs refuses them.
        RecordsNotFound: a JMESPath cannot be read.
    """

    def __init__(self, options: Fields, tools: Tools) -> None:
        self._set = SetStep(options.set, tools.render, tools.find_use) if options.set else None
        self._steps = list(_build_steps(options, self._set, tools))

    def begin(self, names: Mapping[str, Any]) -> None:
        """Takes the template names for the records that follow.

        Raises:
            TemplateFailed: a template of ``set`` names something undefined or gives null.
        """
        if self._set is not None:
            self._set.begin(names)

    def reshape(self, record: Any) -> msgspec.Raw:
        """Returns ``record`` reshaped, as JSON on one line; the given record stays as it is.

        Raises:
            InvalidRecord: a field would be overwritten, or cannot be read as the options say.
            TemplateFailed: as ``begin``.
        """
        try:
            members = open_record(record)
            for step in self._steps:
                step(members)
            return close_record(members)
        except RecursionError as error:
            raise InvalidRecord(
                "A record is nested too deeply for names, flatten or drop_values",
                hint="Make a text of the deep field first: fields.cast: {name: text}.",
            ) from error

    def warnings(self) -> Iterator[str]:
        """Yields what was kept or made null because it could not be converted, and which paths found nothing to hash."""
        for step in self._counting_steps():
            yield from step.warnings()

    def save(self) -> list[Any]:
        """Returns the counts behind the warnings."""
        return [step.save() for step in self._counting_steps()]

    def restore(self, state: list[Any]) -> None:
        """Takes the counts of records that an earlier attempt read."""
        for step, saved in zip(self._counting_steps(), state, strict=True):
            step.restore(saved)

    def _counting_steps(self) -> list[ConvertStep | HashStep]:
        return [step for step in self._steps if isinstance(step, (ConvertStep, HashStep))]


def _build_steps(options: Fields, new: SetStep | None, tools: Tools) -> Iterator[Step]:
    """Yields the steps that ``options`` use, in the order that docs/fields.md promises."""
    builders: list[tuple[Any, Callable[[Any], Step]]] = [
        (options.spread, SpreadStep),
        (options.move, MoveStep),
        (new, lambda step: step),
        (options.dates, lambda dates: _convert_dates(dates, options)),
        (options.cast, lambda casts: _convert_types(casts, options)),
        (options.collect, CollectStep),
        (options.names, NamesStep),
        (options.flatten, FlattenStep),
        (options.drop, DropStep),
        (options.drop_values, DropValuesStep),
        (
            options.hashed,
            lambda paths: HashStep(paths, tools.hash_key, options.hash_length),
        ),
    ]
    return (build(option) for option, build in builders if option)


def _convert_dates(dates: Mapping[str, Any], options: Fields) -> ConvertStep:
    converters = {path: build_date_converter(form) for path, form in dates.items()}
    return ConvertStep("dates", converters, options.on_error)


def _convert_types(casts: Mapping[str, str], options: Fields) -> ConvertStep:
    converters = {path: CASTS[name] for path, name in casts.items()}
    return ConvertStep("cast", converters, options.on_error)
