"""The steps ``dates`` and ``cast``: each value that a path leads to is converted, or fails as ``on_error`` says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.fields.members import Members, describe_value, find_places, read_scalar
from oauth_taskflow.fields.paths import FieldPath, parse_field_path

OnError = Literal["fail", "keep", "null", "quarantine"] | None
# From a value, its kind and its text (see ``members.read_scalar``) to another value; never called with null.
Converter = Callable[[Any, str, str], Any]


class Inconvertible(ValueError):
    """A value that cannot be converted; the text says to what: ``read as a date (dotnet)``. ``reason`` may say why."""

    def __init__(self, what: str, reason: str = "") -> None:
        super().__init__(what)
        self.reason = f"{reason[0].upper()}{reason[1:]}. " if reason else ""


class ConvertStep:
    """Converts the values at its paths; each value once, by an exact path before one with ``*``."""

    def __init__(
        self,
        step: str,
        converters: Mapping[str, Converter],
        on_error: OnError,
    ) -> None:
        parsed = [(parse_field_path(path), convert) for path, convert in converters.items()]
        self._single = [
            (path.only_name, path.text, convert) for path, convert in parsed if path.only_name
        ]
        others = [(path, convert) for path, convert in parsed if not path.only_name]
        self._exact = [each for each in others if not each[0].has_pattern]
        self._patterns = [each for each in others if each[0].has_pattern]
        self._step, self._on_error = step, on_error
        self._failed: dict[str, int] = {}

    def __call__(self, record: Members) -> None:
        """Converts in place.

        Raises:
            InvalidRecord: a value cannot be converted, and ``on_error`` is ``fail`` or ``quarantine``.
        """
        for name, text, convert in self._single:
            if name in record:
                self._convert(record, name, text, convert)
        for path, convert in self._exact:
            for holder, key in list(find_places(record, path.parts)):
                self._convert(holder, key, path.text, convert)
        if self._patterns:
            self._convert_patterns(record)

    def warnings(self) -> Iterator[str]:
        """Yields how many values at each path were kept or made null."""
        done = "kept as they are" if self._on_error == "keep" else "made null"
        for path, count in self._failed.items():
            yield f"fields.{self._step}: {count:,} values at {path!r} could not be converted, and were {done}."

    def save(self) -> Any:
        """Returns the counts of the warnings."""
        return dict(self._failed)

    def restore(self, state: Any) -> None:
        """Takes the counts of records that an earlier attempt read."""
        self._failed = dict(state)

    def _convert_patterns(self, record: Members) -> None:
        done = {(id(record), name) for name, _, _ in self._single}
        done |= _find_all(record, (path for path, _ in self._exact))
        for path, convert in self._patterns:
            for holder, key in list(find_places(record, path.parts)):
                if (id(holder), key) not in done:
                    done.add((id(holder), key))
                    self._convert(holder, key, path.text, convert)

    def _convert(self, holder: Any, key: Any, path: str, convert: Converter) -> None:
        value = holder[key]
        kind, text = read_scalar(value)
        if kind == "null":
            return
        try:
            holder[key] = convert(value, kind, text)
        except Inconvertible as error:
            if self._on_error in {"fail", "quarantine"}:
                raise self._failure(value, path, error) from error
            self._failed[path] = self._failed.get(path, 0) + 1
            if self._on_error != "keep":
                holder[key] = None

    def _failure(self, value: Any, path: str, error: Inconvertible) -> InvalidRecord:
        shown = describe_value(value, path)
        failure = InvalidRecord(
            f"The field {path!r} cannot be {error}: it is {shown}",
            hint=f"{error.reason}Correct fields.{self._step}, or set fields.on_error to keep or null.",
        )
        failure.path = path
        return failure


def _find_all(record: Members, paths: Iterable[FieldPath]) -> set[tuple[int, Any]]:
    return {(id(holder), key) for path in paths for holder, key in find_places(record, path.parts)}
