"""The files that ``verify`` and ``cert`` of a session name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oauth_taskflow.errors import ConnectionConfigError


@contextmanager
def usable_file(field: str, conn_id: str) -> Iterator[None]:
    """While it lasts, an operating system or TLS error is the fault of what ``field`` of the connection names.

    Raises:
        ConnectionConfigError: there was one. The path is not repeated: somebody may have put the key itself there.
    """
    try:
        yield
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise ConnectionConfigError(
            f"A certificate file cannot be used: {why}",
            conn_id=conn_id,
            field=field,
            hint="It must be on every worker, readable for Airflow, and PEM.",
        ) from None


def check_files(verify: bool | str, cert: str | tuple[str, str] | None, conn_id: str) -> None:  # noqa: FBT001 - that of requests
    """Nothing, when all files are there; ``requests`` would tell only with the first call, and not whose they are.

    Raises:
        ConnectionConfigError: one is missing.
    """
    certs = cert if isinstance(cert, tuple) else (cert,)
    for field, path in (("verify", verify), *(("cert", one) for one in certs)):
        if isinstance(path, str):
            with usable_file(field, conn_id):
                Path(path).stat()
