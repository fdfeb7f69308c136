"""Reads credentials from files that other programs replace: projected service account tokens, assertions of a sidecar."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from oauth_taskflow import secret_registry
from oauth_taskflow.errors import ConnectionConfigError

_LARGEST = 1 << 20


def read_text(path: str, conn_id: str, field: str) -> str:
    """Returns the text in the file at ``path``, without surrounding blanks.

    Raises:
        ConnectionConfigError: it cannot be read, is empty or not text; names ``field``.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(_LARGEST).decode("utf-8-sig").strip()  # Windows marks its text
    except (OSError, ValueError) as problem:
        # The path is not secret, but a secret may have been put in its place.
        raise ConnectionConfigError(
            f"The file cannot be read ({type(problem).__name__})",
            conn_id=conn_id,
            field=field,
            hint="Write a path that every worker sees.",
        ) from None
    if not text:
        raise ConnectionConfigError("The file is empty", conn_id=conn_id, field=field)
    return text


class FileCredential(Struct, frozen=True):
    """A credential that is read from ``path`` for every token request, and announced as a secret before it is used."""

    path: str
    conn_id: str
    field: str

    def read(self) -> str:
        """Returns the credential that the file holds now.

        Raises:
            ConnectionConfigError: it cannot be read.
        """
        text = read_text(self.path, self.conn_id, self.field)
        secret_registry.add([text])
        return text

    @property
    def fingerprint(self) -> str:
        """The path: the same file holds the same principal's credential."""
        return self.path
