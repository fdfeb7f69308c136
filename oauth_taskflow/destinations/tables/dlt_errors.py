"""One form for the errors of dlt and of the drivers below it, without what they quote of credentials and records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from oauth_taskflow.destinations.tables.dlt_credentials import Warehouse
from oauth_taskflow.errors import DestinationError, OAuthTaskflowError
from oauth_taskflow.redaction import redact_text

_LONGEST = 300
_MOST_CAUSES = 20
_DRIVER = "Install the driver on every worker: pip install 'dlt[{}]'."
_MISFIT = "Give the column a type that holds the value, in the warehouse, or cast the field (fields: cast)."
# Part of a driver's message, in lower case -> what to do.
_HINTS = {
    "conflicting lock": "A DuckDB file is for one process at a time: let fewer tasks run at once (max_active_tasks: 1, a pool with one "
    "slot), or write Parquet files and load them by one last task.",
    "could not set lock": "A DuckDB file is for one process at a time: let fewer tasks run at once, or write Parquet files.",
    "authentication failed": "Check login and password of the connection.",
    "no password supplied": "Check login and password of the connection.",
    "permission denied": "Grant the login the right to create tables in the dataset (docs/dlt.md).",
    "0x00": "Remove the NUL characters: fields, or a contract.",
    "unsupported unicode escape": "Remove the NUL characters: fields, or a contract.",
    "out of range": _MISFIT,
    "outofrange": _MISFIT,
    "can't be cast": _MISFIT,
    "additional dependencies": _DRIVER,
    "modulenotfounderror": _DRIVER,
    "unknowndestinationmodule": "Write one of dlt's names, such as snowflake, or the dotted path of a destination.",
}
_HINT = "Check the connection of the warehouse, its dataset and the rights of the login."


@contextmanager
def as_dlt_errors(what: str, warehouse: Warehouse) -> Iterator[None]:
    """Raises ``DestinationError`` in place of every error within; ``what`` failed is what it says."""
    try:
        yield
    except OAuthTaskflowError:
        raise
    # The originals quote configurations, statements and records.
    except Exception as error:  # noqa: BLE001 - drivers of any warehouse
        raise _translate(error, what, warehouse) from None


def _translate(error: Exception, what: str, warehouse: Warehouse) -> DestinationError:
    ours = _find_ours(error)
    if ours is not None:
        return ours
    cause = _find_cause(error)
    reason = redact_text(_read_reason(cause), warehouse.secrets)
    said = f"{type(cause).__name__}: {reason}".lower()
    hint = next((hint for key, hint in _HINTS.items() if key in said), _HINT)
    return DestinationError(
        f"{what} failed ({type(cause).__name__}: {reason[:_LONGEST]})",
        where=f"at {warehouse.address}",
        hint=hint.format(warehouse.kind),
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if found is None:
            return
        yield found
        below = getattr(found, "dbapi_exception", None) or getattr(found, "exception", None)
        below = below if isinstance(below, BaseException) and below is not found else None
        found = below or found.__cause__ or found.__context__


def _find_ours(error: BaseException) -> DestinationError | None:
    return next((one for one in _chain(error) if isinstance(one, DestinationError)), None)


def _find_cause(error: BaseException) -> BaseException:
    """Returns the error of the driver below those of dlt; dlt's own where there is none."""
    causes = list(_chain(error))
    drivers = [one for one in causes if not type(one).__module__.startswith("dlt.")]
    return drivers[0] if drivers else causes[-1]


def _read_reason(error: BaseException) -> str:
    text = str(getattr(error, "failed_message", None) or error)
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line), "no reason given")
