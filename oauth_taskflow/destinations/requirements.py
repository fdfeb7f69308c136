"""The libraries that a destination needs beyond the base of this package, and whether they are installed.

They are looked up and not imported: parsing a DAG asks for them, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, Protocol

from msgspec import Struct

from oauth_taskflow.errors import DestinationError


class Requirement(Struct, frozen=True):
    """A library by the name of its top-level module, and the extra of this package that installs it."""

    module: str
    extra: str


# By the scheme of a URL: the library that opens the object store.
STORE_REQUIREMENTS = {
    "s3": Requirement("s3fs", "s3"),
    "s3a": Requirement("s3fs", "s3"),
    "abfs": Requirement("adlfs", "azure"),
    "abfss": Requirement("adlfs", "azure"),
}


def find_store_requirements(url: str | None) -> list[Requirement]:
    """Returns the library that opens the object store of ``url``; nothing for a folder, and for a scheme not known here."""
    found = STORE_REQUIREMENTS.get((url or "").partition("://")[0])
    return [] if found is None else [found]


class RequiringKind(Protocol):
    """The further method of the options of a destination (``DestinationKind``) that needs libraries of an extra."""

    def requirements(self) -> Iterable[Requirement]:
        """Returns the libraries that these options need, as far as they are known before templates are filled in."""


def list_requirements(options: Any) -> Iterable[Requirement]:
    """Returns the libraries that a destination's options need; imports nothing."""
    # Not isinstance: asking whether it follows a protocol takes Python longer than all the rest of building its task.
    if not hasattr(options, "requirements"):
        return ()
    kind: RequiringKind = options
    return kind.requirements()


def find_missing(options: Any) -> list[Requirement]:
    """Returns the requirements of a destination's options that are not installed; imports nothing."""
    return [each for each in dict.fromkeys(list_requirements(options)) if not is_installed(each)]


def describe_missing(missing: Iterable[Requirement]) -> tuple[str, str]:
    """Returns what is missing, and the command that installs it."""
    found = list(missing)
    modules = ", ".join(dict.fromkeys(each.module for each in found))
    extras = ",".join(dict.fromkeys(each.extra for each in found))
    verb = "is" if len({each.module for each in found}) == 1 else "are"
    return (
        f"{modules} {verb} not installed",
        f"Install on every worker: pip install 'oauth-taskflow[{extras}]'.",
    )


def require_libraries(options: Any) -> None:
    """Checks that the libraries of a destination's options are installed.

    Raises:
        DestinationError: one is missing.
    """
    if missing := find_missing(options):
        what, hint = describe_missing(missing)
        kind = options.__struct_config__.tag
        raise DestinationError(
            f"The destination needs a library: {what}",
            where=f"at the destination of type {kind!r}",
            hint=hint,
        )


def is_installed(requirement: Requirement) -> bool:
    """Returns whether the library of a requirement is there; imports nothing."""
    try:
        return find_spec(requirement.module) is not None
    except (ImportError, ValueError):  # a module that something put into sys.modules without a spec
        return False
