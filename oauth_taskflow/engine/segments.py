"""Values that come with a run, in the path of a destination: each is one path segment, or it is refused.

The spec's author may write any path, in the template and in the defaults of ``params``. A run's *conf* and its id come
from the user who triggers the DAG. That user must not choose the folder, the bucket or the connection. Such values are
not encoded: encoding would move the output of earlier runs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Any, NoReturn
from urllib.parse import unquote

from oauth_taskflow.errors import DestinationError

_MOST_BYTES = 255  # of a name on every common disk
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SEPARATORS = frozenset("/\\\u2044\u2215\u29f8\u29f5\u2216\u2571\u2572")


def segment_flaw(text: str) -> str | None:
    """Returns why ``text`` is not one path segment, as it is, percent-decoded or in Unicode's compatible form."""
    flaws = {
        "it is empty": not text.strip(),
        f"it is longer than {_MOST_BYTES} bytes": len(text.encode("utf-8", "replace"))
        > _MOST_BYTES,
        "it has a control character": _CONTROL.search(text) is not None,
        "it begins with ~, which names a home folder": text.startswith("~"),
    }
    flaw = next((reason for reason, found in flaws.items() if found), None)
    return flaw or next(filter(None, map(_form_flaw, sorted(_forms(text)))), None)


def _form_flaw(form: str) -> str | None:
    if _SEPARATORS & set(form):
        return "it has a path separator"
    if _CONTROL.search(form):
        return "it has a control character"
    return None if form.strip(" .") else "it has only dots and blanks"


def _forms(text: str) -> set[str]:
    """Returns the ways in which file systems and servers may read ``text``: decoded as often as possible, and normalised."""
    forms = {text[:_MOST_BYTES]}
    for _ in range(_MOST_BYTES):
        more = {unquote(form) for form in forms} | {
            unicodedata.normalize("NFKC", form) for form in forms
        }
        if more <= forms:
            break
        forms |= more
    return forms


class _Refused:
    """Replaces a value that is not a path segment: any use in the template raises, ``default(…)`` included."""

    __slots__ = ("_message",)

    def __init__(self, name: str, text: str, flaw: str) -> None:
        self._message = f"{name} of this run, {text[:80]!r}, cannot be used in the path of the destination: {flaw}"

    def _refuse(self, *_: Any) -> NoReturn:
        raise DestinationError(
            self._message,
            hint="A value given with a run is one path segment. Write folders into the spec: in the path, or as defaults of params.",
        )

    __str__ = __eq__ = __bool__ = __len__ = __iter__ = __getitem__ = __contains__ = _refuse
    __lt__ = __add__ = __radd__ = __html__ = _refuse

    __hash__ = None  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()


def restrict_to_segments(context: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Returns ``context`` with the run's id, and the params named in ``given``, restricted to path segments."""
    params = {
        name: _restrict(value, f"params.{name}") if name in given else value
        for name, value in (context.get("params") or {}).items()
    }
    restricted = {**context, "params": params}
    if "run_id" in context:
        restricted["run_id"] = _restrict(context["run_id"], "run_id")
    return restricted


def _restrict(value: Any, name: str) -> Any:
    if isinstance(value, str):
        flaw = segment_flaw(value)
        return value if flaw is None else _Refused(name, value, flaw)
    if isinstance(value, Mapping):
        bad = next((str(key) for key in value if segment_flaw(str(key)) is not None), None)
        if bad is not None:
            return _Refused(name, bad, "a key in it is not a path segment")
        return {key: _restrict(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_restrict(item, f"{name}[{n}]") for n, item in enumerate(value)]
    return value


def check_authority(path: str, context: Mapping[str, Any], given: Collection[str]) -> None:
    """Checks the bucket of a rendered URL: no value of the run names a connection, and the path has no ``?`` or ``#``.

    Raises:
        DestinationError: a value given with the run names the Airflow connection, or ``?`` or ``#`` is in the URL.
    """
    scheme, separator, rest = path.partition("://")
    if not separator or scheme == "file":
        return
    bucket, _, key = rest.partition("/")
    texts = {str(context["params"][name]) for name in given if name in context.get("params", {})}
    if any("@" in text and text in bucket for text in texts):
        raise DestinationError(
            "A value given with this run would choose the connection of the object store",
            where=f"at {scheme}://…{bucket.rpartition('@')[2]}",
            hint="Write the connection into the spec: conn_id of the destination.",
        )
    if "?" in rest or "#" in rest:
        raise DestinationError(
            "A URL of a destination has ? or # in it, where the path of a URL ends",
            where=f"in /{key}",
            hint="Leave these characters out of the path and of the values in it.",
        )
