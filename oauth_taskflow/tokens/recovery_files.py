"""Keeps a received refresh token in an encrypted local file until the store has it; the next refresh imports it.

The answer to a person's consent is kept in the same way. A rotated refresh token exists only once. Losing it because a database restarted, or because the worker was killed while
it waited for one, would cost a person's consent.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.errors import TokenStoreError, TokenUndecryptable
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.state.rescued import RescuedAnswer

_log = logging.getLogger("oauth_taskflow.tokens")
_CONSENT = ".consent"
_SAVED = ".rescued"
_DRAFT = ".draft"
_ABANDONED = 86_400.0  # seconds; no writer takes as long as that
_WRITES = 5
_UNUSABLE = (OSError, ValueError, TypeError, KeyError, TokenUndecryptable)


class RecoveryFiles:
    """One file per rescued answer in ``folder``: 0600 in a 0700 folder, written whole or not at all.

    A file is a draft until it is whole. A draft that opens is whole, so any process gives it its name where its writer was
    killed before that. One that does not open may still be in the making; after a day it counts as a file, too.

    A file that this key ring does not open is named in the log once and then skipped. It waits for the right key without
    holding up the grant.
    """

    def __init__(self, folder: Path, cipher: TokenCipher) -> None:
        self.folder = folder
        self._cipher = cipher
        self._unusable: set[Path] = set()

    def has_pending(self, grant_key: str) -> bool:
        """Whether a file waits to be imported for that grant."""
        return any(True for _ in self._paths(grant_key))

    def _paths(self, grant_key: str) -> Iterator[Path]:
        return (path for path in self._find(f"{grant_key}.*") if path not in self._unusable)

    def _find(self, pattern: str) -> list[Path]:
        """The saved files whose names fit, and the drafts that are ready, which become saved files."""
        for draft in self.folder.glob(f"{pattern}{_DRAFT}"):
            self._finish(draft)
        return list(self.folder.glob(f"{pattern}{_SAVED}"))

    def _finish(self, draft: Path) -> None:
        """Give ``draft`` its name, unless it may still be in the making; a living writer notices and goes on."""
        with suppress(OSError):
            if self._opens(draft) or SYSTEM_CLOCK.now() - draft.lstat().st_mtime > _ABANDONED:
                draft.replace(draft.with_suffix(_SAVED))

    def _opens(self, draft: Path) -> bool:
        try:
            self._open(draft, draft.name.split(".")[0])
        except _UNUSABLE:
            return False
        return True

    def save(self, rescued: RescuedAnswer) -> Path:
        """Write ``rescued``, durably.

        Raises:
            TokenStoreError: the file cannot be written either.
        """
        sealed = self._cipher.seal(
            rescued.fields, grant_key=rescued.grant_key, version=rescued.fence
        )
        # The process id keeps a file that only a dropped key opens from being overwritten.
        name = f"{rescued.grant_key}.{rescued.fence}.{os.getpid()}"
        if rescued.consent is not None:  # of several at once, none has the lease
            name += f".{rescued.consent.consent_id}{_CONSENT}"
        path = self.folder / f"{name}{_SAVED}"
        try:
            self._write(path, sealed)
        except OSError as failure:
            raise TokenStoreError(
                f"The recovery file cannot be written ({failure.strerror}); the new token is lost",
                where=f"at {path}",
                hint="Make the folder writable, and authorize the connection again if the next refresh fails.",
            ) from failure
        return path

    def _write(self, path: Path, text: str) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in reversed(range(_WRITES)):
            try:
                draft = _write_draft(path, text)
                draft.replace(path)
                break
            except FileNotFoundError:  # another process finished or removed the draft
                if not left:
                    raise
        _sync_folder(self.folder)

    def load(self, grant_key: str) -> list[tuple[Path, RescuedAnswer]]:
        """The answers that wait for that grant, oldest first; an unreadable file is left alone and named in the log."""
        found = [(path, self._load(path, grant_key)) for path in self._paths(grant_key)]
        usable = [(path, rescued) for path, rescued in found if rescued is not None]
        return sorted(usable, key=lambda item: _order(item[1]))

    def list_consents(self) -> set[tuple[str, str]]:
        """The connections and grant keys for which the answer to a person's consent waits."""
        paths = set(self._find(f"*{_CONSENT}")) - self._unusable
        found = [self._load(path, path.name.split(".")[0]) for path in paths]
        consents = [one for one in found if one is not None and one.consent is not None]
        return {(one.consent.conn_id, one.grant_key) for one in consents if one.consent}

    def _load(self, path: Path, grant_key: str) -> RescuedAnswer | None:
        try:
            return self._open(path, grant_key)
        except FileNotFoundError:  # its writer has stored it by now
            return None
        except _UNUSABLE as failure:
            _log.warning("recovery file %s is not usable (%s)", path, type(failure).__name__)
            self._unusable.add(path)
            return None

    def _open(self, path: Path, grant_key: str) -> RescuedAnswer:
        fence = int(path.name.split(".")[1])
        content = self._cipher.open(path.read_text(), grant_key=grant_key, version=fence)
        return RescuedAnswer.from_fields(content)

    def remove(self, path: Path) -> None:
        """Remove an imported file."""
        with suppress(OSError):
            path.unlink()


def _order(rescued: RescuedAnswer) -> tuple[int, float]:
    return rescued.fence, 0.0 if rescued.answer is None else rescued.answer.received_at


def _write_draft(path: Path, text: str) -> Path:
    """The draft of ``path``, with ``text`` durably in it."""
    draft = path.with_suffix(_DRAFT)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(draft, flags, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _sync_folder(folder: Path) -> None:
    """Make a new name in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
