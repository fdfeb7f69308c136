"""Follows the name of a field through the steps of ``fields``, without a record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from oauth_taskflow.fields.naming import CONVENTIONS
from oauth_taskflow.fields.options import Fields
from oauth_taskflow.fields.paths import FieldPath, parse_field_path, write_name

Names = tuple[str, ...]


class Loss(Struct, frozen=True):
    """Why a name is not there at the end: the step that takes it away, and the name to use instead (empty: none)."""

    step: str
    instead: str = ""


def find_loss(options: Fields, names: Names) -> Loss | None:
    """Returns why a record cannot have the field ``names`` after ``options``; None when it may have it.

    ``names`` leads down from the record. Which fields the API sends is unknown: only what the options take away counts.
    """
    loss = find_taker(options, names)
    if loss is not None:
        return loss
    written = write_names(options, names)
    if written != names:
        return Loss(
            "names" if options.flatten is None or len(names) == 1 else "flatten", _show(written)
        )
    return Loss("drop") if is_covered(options.drop, names) else None


def keeps_name(options: Fields, names: Names) -> bool:
    """Whether the field ``names`` of a record before ``options`` is surely the one that is called so after them.

    Its value may be written differently, or be left out. False for empty names.
    """
    is_made = any(_is_part(made, names) for made in _list_new_names(options))
    is_same = bool(names) and write_names(options, names) == names
    return is_same and not is_made and _find_move(options, names) is None


def find_converter(texts: Iterable[str], options: Fields, names: Names) -> str | None:
    """Returns which of ``texts``, the paths of ``dates`` or ``cast``, leads to the field ``names``; None when none does.

    ``names`` are those at the end, after ``names`` and ``flatten``. An exact path comes before one with ``*``.
    """
    paths = sorted(parse_paths(list(texts)), key=lambda path: path.has_pattern)
    return next((path.text for path in paths if _becomes(options, path, names)), None)


def _becomes(options: Fields, path: FieldPath, names: Names) -> bool:
    """Whether a field at ``path`` is called ``names`` at the end; with ``*``, whether one may well be."""
    if path.has_items:
        return False
    if not path.has_pattern:
        return write_names(options, path.names) == names
    if options.names == "lower_case":
        path = parse_field_path(path.text.lower())
    spellings = [names]
    if options.names == "snake_case":
        spellings += [tuple(map(_write_camel, names)), tuple(map(_write_pascal, names))]
    return any(len(path.parts) == len(each) and _covers(path, each) for each in spellings)


def _write_pascal(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _write_camel(name: str) -> str:
    written = _write_pascal(name)
    return written[:1].lower() + written[1:]


def is_kept_in_clear(options: Fields, path: str) -> bool:
    """Whether the value at ``path``, before ``options`` or after them, is surely neither dropped nor hashed.

    A path that is not a plain chain of names, or empty, may lead to anything.
    """
    if not (options.drop or options.hashed):
        return True
    names = read_plain_names(path)
    ends = [names, write_names(options, names)]
    loss = _find_move(options, names)
    if loss is not None:
        ends.append(read_plain_names(loss.instead))
    return all(end and not is_covered([*options.drop, *options.hashed], end) for end in ends)


def is_covered(texts: list[str], names: Names) -> bool:
    """Whether one of the paths ``texts`` leads to the field ``names``, or to something that it is in."""
    return any(_covers(path, names) for path in parse_paths(texts))


def find_taker(options: Fields, names: Names) -> Loss | None:
    """Returns the step that takes the field ``names`` to another place, if no step writes a field of this name."""
    if any(_is_part(made, names) for made in _list_new_names(options)):
        return None
    return _find_move(options, names)


def is_moved(options: Fields, names: Names) -> bool:
    """Whether a step before ``names`` takes the field ``names`` to another place, so that its name is free."""
    return _find_move(options, names) is not None


def write_names(options: Fields, names: Names) -> Names:
    """Returns ``names`` as ``names`` and ``flatten`` of the options write them."""
    if options.names is not None:
        names = tuple(map(CONVENTIONS[options.names], names))
    return names if options.flatten is None else (options.flatten.join(names),)


def parse_paths(texts: list[str]) -> list[FieldPath]:
    """Returns the paths that can be read; another rule reports the others."""
    return [path for text in texts if (path := read_path(text)) is not None]


def read_path(text: str) -> FieldPath | None:
    """Returns the path that ``text`` writes, or None."""
    try:
        return parse_field_path(text)
    except ValueError:
        return None


def read_plain_names(text: str) -> Names:
    """Returns the names of a JMESPath that only descends; empty for every other one."""
    path = read_path(text)
    if path is None or path.has_items or path.has_pattern or set(text) & set("[]()|&`'{}!<>=?, "):
        return ()
    return path.names


def _list_new_names(options: Fields) -> Iterator[Names]:
    """Yields the names of fields that steps write, as they are called at the end."""
    for path in parse_paths([*options.move.values(), *options.set, *options.collect]):
        if not path.has_items:
            yield write_names(options, path.names)


def _find_move(options: Fields, names: Names) -> Loss | None:
    """Returns the step before ``names`` that takes the field to another place."""
    for path in parse_paths(options.spread):
        if _is_part(write_names(options, path.names), names):
            return Loss(
                "spread", _show(names[len(path.names) :]) if len(names) > len(path.names) else ""
            )
    for old, new in options.move.items():
        source, target = read_path(old), read_path(new)
        if source is None or target is None or source.has_items:
            continue
        if _is_part(write_names(options, source.names), names):
            rest = names[len(source.names) :]
            return Loss("move", _show((*write_names(options, target.names), *rest)))
    for target_text, each in options.collect.items():
        keys = [each.keys] if isinstance(each.keys, str) else each.keys
        if is_covered(keys, names):
            return Loss("collect", target_text)
    return None


def _is_part(around: Names, names: Names) -> bool:
    return names[: len(around)] == around


def _covers(path: FieldPath, names: Names) -> bool:
    """Whether ``path`` leads to the field ``names``, or to something that it is in."""
    return (
        not path.has_items
        and len(path.parts) <= len(names)
        and all(part.matches(name) for part, name in zip(path.parts, names, strict=False))
    )


def _show(names: Names) -> str:
    return ".".join(map(write_name, names))
